package lifecycle

import (
	"database/sql"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/objstore"
)

// upload is what the catalog knows of the object under a key.
type upload struct {
	key    string
	size   *int64 // nil if callvault has not written its object
	crc32  *uint32
	etag   string
	sha256 []byte
}

func scanUpload(rows *sql.Rows) (u upload, err error) {
	err = rows.Scan(&u.key, &u.size, &u.crc32, db.OrZero(&u.etag), &u.sha256)
	return u, err
}

// wrote says whether the stored bytes are those that callvault has written.
func (u upload) wrote(is objstore.Info) bool {
	switch {
	case u.size == nil || *u.size != is.Size:
		return false
	case u.crc32 != nil && is.CRC32 != nil:
		return *u.crc32 == *is.CRC32
	}
	return u.etag == "" || u.etag == is.ETag
}
