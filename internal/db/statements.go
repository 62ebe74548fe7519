package db

import (
	"context"
	"database/sql"
	"sync"
)

// statements keeps registered statements of a pool parsed, once per connection: SQLite would spend
// half of a short answer on parsing.
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

// of gives the statement for a registered text, parsed now if need be; nil when it cannot be
// parsed, so that the text itself is run and says why. Whoever holds the last connection must not
// call it.
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
	if first := s.byText[text]; first != nil { // somebody was faster
		_ = stmt.Close() //nolint:sqlclosecheck // nothing was done with it; those kept live as long as the database
		return first
	}
	s.byText[text] = stmt
	return stmt
}

// parse parses every registered statement that was not yet.
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
