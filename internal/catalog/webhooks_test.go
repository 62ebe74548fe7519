package catalog_test

import (
	"testing"

	"github.com/callvault/callvault/internal/catalog/catalogtest"
)

func TestWebhooks(t *testing.T) {
	for name, open := range openers() {
		t.Run(name, func(t *testing.T) { catalogtest.RunWebhooks(t, open) })
	}
}
