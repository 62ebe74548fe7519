// Package recordings is the family of daily recordings: a tenant asks for a day and gets 24 hourly
// links, and each link gives the ZIP of its hour.
//
// Every check is in the order in which the family promises its answers. What is counted, and what
// is due to a link, is decided in the catalog; the bytes are the object store's.
package recordings
