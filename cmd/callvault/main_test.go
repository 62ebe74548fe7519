package main

import (
	"testing"

	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
