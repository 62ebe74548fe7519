package db

import (
	"context"
	"database/sql"
	"sync"
)

// statements is a statement cache: it has the registered statements of a pool, parsed once for each
// connection. SQLite would otherwise spend half of a short answer on parsing.
type statements struct {
	pool   *sql.DB
	mu     sync.RWMutex
	byText map[string]*sql.Stmt // nil for one that was not parsed yet
}

func (s *statements) register(texts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byText == nil {
		s.byText = make(map[string]*sql.Stmt)
	}
	for _, text := range texts {
		if _, known := s.byText[text]; !known {
			s.byText[text] = nil
		}
	}
}

// parsed gives the statement for a text; nil when it was not registered, or not parsed yet.
func (s *statements) parsed(text string) *sql.Stmt {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byText[text]
}

// of gives the statement for a registered text, and parses it first if that was not done yet. It is
// nil for a text that cannot be parsed: the text itself is then run, and reports the error. A
// caller that holds the last connection must not call it.
func (s *statements) of(ctx context.Context, text string) *sql.Stmt {
	s.mu.RLock()
	stmt, registered := s.byText[text]
	s.mu.RUnlock()
	if stmt != nil || !registered {
		return stmt
	}
	stmt, err := s.pool.PrepareContext(ctx, text)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if first := s.byText[text]; first != nil { // another goroutine was faster
		_ = stmt.Close() //nolint:sqlclosecheck // it was not used; cached statements are open until the database is closed
		return first
	}
	s.byText[text] = stmt
	return stmt
}

// parse parses every registered statement that was not parsed yet.
func (s *statements) parse(ctx context.Context) {
	var missing []string
	s.mu.RLock()
	for text, stmt := range s.byText {
		if stmt == nil {
			missing = append(missing, text)
		}
	}
	s.mu.RUnlock()
	for _, text := range missing {
		s.of(ctx, text)
	}
}
