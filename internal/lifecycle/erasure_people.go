package lifecycle

import (
	"context"
	"database/sql"
	"strings"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// OfUser gives the conversations of a tenant whose user has this id. Error: KindNotFound.
func (e *Eraser) OfUser(ctx context.Context, tenant, user string) ([]string, error) {
	ids, err := db.Collect(ctx, e.db, db.Value[string], `SELECT id FROM conversations WHERE tenant = $1 AND user_id = $2 ORDER BY id`, tenant, user)
	if err == nil && len(ids) == 0 {
		err = domain.Errorf(domain.KindNotFound, "tenant %s has no conversation of this user; nothing is erased", tenant)
	}
	return ids, err
}

// OfPhone gives the conversations of a tenant whose caller or callee has this number, however it is
// written. National and international numbers are not the same. It reads all conversations of the
// tenant that have a number. Errors: KindInvalid for a text without digits, KindNotFound.
func (e *Eraser) OfPhone(ctx context.Context, tenant, phone string) ([]string, error) {
	want := phoneDigits(phone)
	if len(want) < 3 {
		return nil, domain.Errorf(domain.KindInvalid, "the phone number has fewer than 3 digits")
	}
	var ids []string
	err := db.Each(ctx, e.db, func(rows *sql.Rows) error {
		var id, caller, callee string
		err := rows.Scan(&id, db.OrZero(&caller), db.OrZero(&callee))
		if phoneDigits(caller) == want || phoneDigits(callee) == want {
			ids = append(ids, id)
		}
		return err
	}, `SELECT id, caller_phone, callee_phone FROM conversations WHERE tenant = $1 AND (caller_phone IS NOT NULL OR callee_phone IS NOT NULL) ORDER BY id`, tenant)
	if err == nil && len(ids) == 0 {
		err = domain.Errorf(domain.KindNotFound, "tenant %s has no conversation with this number; nothing is erased", tenant)
	}
	return ids, err
}

// phoneDigits gives the digits of a phone number, without those that begin an international one. A
// SIP or tel address counts up to its host or parameters.
func phoneDigits(phone string) string {
	if at := strings.IndexAny(phone, "@;"); at >= 0 {
		phone = phone[:at]
	}
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, phone)
	return strings.TrimPrefix(digits, "00")
}
