package verify_test

import (
	"context"
	"fmt"
	"os"

	"github.com/callvault/callvault/client/verify"
)

// Check a downloaded ZIP.
func ExampleFile() {
	report, err := verify.File(context.Background(), "testdata/acme_2025-12-12_14.zip")
	if err != nil {
		fmt.Println("it cannot be read:", err)
		return
	}
	fmt.Println("in order:", report.OK())
	fmt.Printf("%s, hour %s: %d recordings of %d session\n", report.UTCDay, report.Hour, report.Files, report.Sessions)
	for _, m := range report.Missing {
		fmt.Println("missing:", m.OriginalPath, m.Reason)
	}
	// Output:
	// in order: true
	// 2025-12-12, hour 14: 2 recordings of 1 session
	// missing: acme/calls/message_3_agent_tts.opus not_found
}

// Check a ZIP of which a download has lost the end.
func ExampleReader() {
	file, err := os.Open("testdata/acme_2025-12-12_14.zip")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	report, err := verify.Reader(context.Background(), file, 4096)
	if err != nil {
		fmt.Println("it cannot be read:", err)
		return
	}
	for _, p := range report.Problems {
		fmt.Println(p)
	}
	// Output:
	// The record that ends a ZIP is missing: the file is cut short or no ZIP.
}
