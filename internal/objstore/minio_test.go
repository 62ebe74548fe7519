package objstore_test

import (
	"testing"

	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func minioConfig(t *testing.T) objstore.Config {
	t.Helper()
	s3 := testenv.MinIO(t)
	return objstore.Config{
		Endpoint: s3.Endpoint, Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: testenv.BucketName("recordings"), Archives: testenv.BucketName("archives"),
	}
}

func TestMinIO(t *testing.T) {
	objstoretest.Run(t, minioConfig)
}
