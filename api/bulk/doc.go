// Package bulk serves the export of whole windows of conversations and messages, page by page or
// as one stream of lines: everything below /conversations/export/v1.
//
// It gives what the catalog holds at the time of each page; it keeps no state of its own between
// pages but what stands in the cursor.
package bulk
