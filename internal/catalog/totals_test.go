package catalog_test

import (
	"testing"

	"github.com/callvault/callvault/internal/catalog/catalogtest"
)

func TestTotals(t *testing.T) {
	for name, open := range openers() {
		t.Run(name, func(t *testing.T) { catalogtest.RunTotals(t, open) })
	}
}
