// Package rawjson splits and joins JSON by its bytes, without decoding: values keep the order of
// their keys and the spelling of their numbers.
//
// It is for texts that were validated before, as all JSON in the catalog was at ingest. It does not
// validate: it reports a damaged text only when it cannot find the end of a value.
package rawjson
