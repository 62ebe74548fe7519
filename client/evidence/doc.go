// Package evidence checks evidence packs, which callvault evidence makes, without a server: that
// each file is whole, and that each line of the audit log and each seal of a day stands in the
// log whose public key the reader has.
//
// It finds lines and seals that were changed, dropped, doubled or moved after the pack was made,
// and names them. It can't find what was left out when the pack was made. Whoever has the catalog
// can: callvault log verify says whether the catalog still has every line of the log.
package evidence
