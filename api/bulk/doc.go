// Package bulk is the family that exports all conversations or messages of a time range, in pages
// or as one stream of lines: everything below /conversations/export/v1.
//
// Each page is what the catalog holds when it is read. The only state between pages is the cursor.
package bulk
