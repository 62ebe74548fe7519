package queue

import (
	"context"
	"strconv"

	"github.com/callvault/callvault/internal/domain"
)

// Memory is how full Redis is and what it does when it is full.
type Memory struct {
	Used   int64  // bytes
	Max    int64  // bytes; 0 without a limit
	Policy string // "" when Redis does not tell
}

// alarmPercent is the share of Redis's memory from which an operator is warned: a full Redis
// neither takes tasks nor gives any to workers.
const alarmPercent = 70

// Memory asks Redis about its memory. Error: KindUnavailable.
func (q *Queue) Memory(ctx context.Context) (Memory, error) {
	info := map[string]string{}
	err := q.readInfo(ctx, "memory", info)
	return memoryOf(info), err
}

func memoryOf(info map[string]string) (m Memory) {
	m.Used, _ = strconv.ParseInt(info["used_memory"], 10, 64)
	m.Max, _ = strconv.ParseInt(info["maxmemory"], 10, 64)
	m.Policy = info["maxmemory_policy"]
	return m
}

// Check says what is wrong with Redis's settings of memory, as KindInvalid. The only policy that
// keeps tasks whole is noeviction: any other may evict one of the several keys that make up a
// task.
func (m Memory) Check() error {
	if m.Policy != "" && m.Policy != "noeviction" {
		return domain.Errorf(domain.KindInvalid, "Redis has maxmemory-policy %s; set it to noeviction, or it loses tasks", m.Policy)
	}
	return nil
}

// Alarm says whether Redis has used more than alarmPercent of its memory.
func (m Memory) Alarm() bool { return m.Max > 0 && m.Used > m.Max/100*alarmPercent }
