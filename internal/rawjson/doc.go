// Package rawjson takes JSON apart, and puts it together, by its bytes: values keep the order of
// their keys and the spelling of their numbers, and nothing is decoded.
//
// It is for texts that were found valid before, as all JSON in the catalog was when it was taken
// in. It does not validate: of a damaged text it says so only where it can't find its way.
package rawjson
