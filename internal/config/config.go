package config

import (
	"net/netip"
	"time"
)

// Config is every setting. Commands that run a role embed it; the others embed Parts and get the
// rest from Source.Complete.
//
// Tags beside kong's own: var is the variable, type the kind of value, min and max its bounds,
// oneof the allowed values, need the roles that require it, roles the roles that read it, eg an
// example for messages, shown the text for a default that depends on other settings.
type Config struct {
	Parts   `embed:"" group:"Parts:"`
	Serving `embed:"" group:"Serving:"`
	Work    `embed:"" group:"Archiving:"`
}

// Parts are the addresses and credentials of callvault's parts.
type Parts struct {
	Data        string `var:"CALLVAULT_DATA" type:"text" default:"./data" placeholder:"DIR" roles:"standalone" help:"Directory of the embedded parts: catalog, objects, lock."`
	DatabaseURL Secret `var:"CALLVAULT_DATABASE_URL" type:"database" placeholder:"URL" need:"api worker scheduler" roles:"api worker scheduler" eg:"postgres://callvault@postgres:5432/callvault" shown:"embedded SQLite in standalone" help:"Catalog: postgres://… or sqlite:///path."`
	RedisURL    Secret `var:"CALLVAULT_REDIS_URL" type:"redis" placeholder:"URL" need:"api worker scheduler" roles:"api worker scheduler" eg:"redis://redis:6379/0" shown:"embedded in standalone" help:"Queue and per-second limits: redis://, rediss:// or redis-sentinel://."`
	S3Endpoint  string `name:"s3-endpoint" var:"CALLVAULT_S3_ENDPOINT" type:"endpoint" placeholder:"URL" need:"api worker scheduler" roles:"api worker scheduler" eg:"http://minio:9000" shown:"embedded in standalone" help:"Object store."`
	S3Public    string `name:"s3-public-endpoint" var:"CALLVAULT_S3_PUBLIC_ENDPOINT" type:"endpoint" placeholder:"URL" roles:"api" eg:"https://objects.example.com" shown:"CALLVAULT_S3_ENDPOINT" help:"Object store as clients reach it: the host of presigned URLs."`
	S3Region    string `name:"s3-region" var:"CALLVAULT_S3_REGION" type:"text" default:"us-east-1" roles:"api worker scheduler" help:"Region that requests to the object store are signed for."`
	S3AccessKey Secret `name:"s3-access-key" var:"CALLVAULT_S3_ACCESS_KEY" type:"secret" placeholder:"KEY" need:"api worker scheduler" roles:"api worker scheduler" eg:"the access key id of a user of both buckets" help:"Access key of the object store."`
	S3SecretKey Secret `name:"s3-secret-key" var:"CALLVAULT_S3_SECRET_KEY" type:"secret" placeholder:"KEY" need:"api worker scheduler" roles:"api worker scheduler" eg:"the secret that belongs to the access key" help:"Secret key of the object store."`
	Recordings  string `name:"recordings-bucket" var:"CALLVAULT_RECORDINGS_BUCKET" type:"bucket" default:"recordings" roles:"api worker scheduler" help:"Bucket that recordings arrive in."`
	Archives    string `name:"archives-bucket" var:"CALLVAULT_ARCHIVES_BUCKET" type:"bucket" default:"archives" roles:"api worker scheduler" help:"Bucket that archives are written to."`
	Prefix      string `name:"archives-prefix" var:"CALLVAULT_ARCHIVES_PREFIX" type:"prefix" default:"callvault" placeholder:"PREFIX" roles:"api worker scheduler" help:"What callvault's keys in the archives bucket begin with: names with slashes between. Each installation of a bucket has its own, none within another's."`
	ArchiveLock string `name:"archives-lock" var:"CALLVAULT_ARCHIVES_LOCK" type:"choice" default:"off" oneof:"off governance compliance" placeholder:"MODE" roles:"api worker scheduler" help:"The object store locks archives (S3 object lock) until a day after their retention. governance: only who has a right of its own deletes them earlier. compliance: nobody does, and an erasure waits for the lock."`
	TakeAudio   bool   `var:"CALLVAULT_TAKE_AUDIO" type:"switch" default:"on" placeholder:"on|off" roles:"api" help:"Audio is taken in by PUT and by import --audio. off: callvault never writes to the recordings bucket."`
	MasterKey   Secret `var:"CALLVAULT_MASTER_KEY" type:"longsecret" placeholder:"KEY" roles:"api worker" eg:"the output of: openssl rand -base64 32" help:"Encrypts the signing keys and webhooks' secrets in the catalog; at least 32 characters."`
	LogLevel    string `var:"CALLVAULT_LOG_LEVEL" type:"choice" default:"info" oneof:"debug info warn error" placeholder:"LEVEL" roles:"api worker scheduler" help:"Least level that is logged: debug, info, warn or error."`
}

// Serving are the settings of the HTTP side.
type Serving struct {
	Listen          string         `var:"CALLVAULT_LISTEN" type:"listen" placeholder:"HOST:PORT" roles:"api worker scheduler" eg:"127.0.0.1:8080" shown:"127.0.0.1:8080 (worker 8081, scheduler 8082)" help:"Address to listen on; worker and scheduler serve health and metrics there."`
	AdminListen     string         `var:"CALLVAULT_ADMIN_LISTEN" type:"listen" placeholder:"HOST:PORT" roles:"api" eg:"127.0.0.1:9090" shown:"the address of CALLVAULT_LISTEN" help:"Moves /admin, /api/admin and /metrics to an address of their own."`
	PublicURL       string         `var:"CALLVAULT_PUBLIC_URL" type:"publicurl" placeholder:"URL" need:"api" roles:"api" eg:"https://callvault.example.com" shown:"the listening address in standalone" help:"URL that clients reach callvault by; links begin with it. It may have a path, such as /vault, which a proxy removes or passes on."`
	CORSOrigins     []string       `name:"cors-origins" var:"CALLVAULT_CORS_ORIGINS" type:"origins" placeholder:"ORIGIN,…" roles:"api" eg:"https://app.example.com" shown:"none" help:"Origins whose pages may call the API from a browser."`
	TrustedProxies  []netip.Prefix `var:"CALLVAULT_TRUSTED_PROXIES" type:"networks" placeholder:"ADDRESS,…" roles:"api" eg:"10.0.0.0/8,2001:db8::7" shown:"none" help:"Proxies and balancers whose X-Forwarded-For and X-Forwarded-Proto are believed."`
	InternalToken   Secret         `var:"CALLVAULT_INTERNAL_TOKEN" type:"longsecret" placeholder:"TOKEN" roles:"api" eg:"the output of: openssl rand -base64 32" shown:"none: internal calls are refused" help:"Token of internal callers (x-internal-token); at least 32 characters."`
	AdminToken      Secret         `var:"CALLVAULT_ADMIN_TOKEN" type:"longsecret" placeholder:"TOKEN" roles:"api" eg:"the output of: openssl rand -base64 32" shown:"none: the console is closed" help:"Token that opens /admin and /api/admin; at least 32 characters."`
	AdminReadOnly   bool           `name:"admin-readonly" var:"CALLVAULT_ADMIN_READONLY" type:"switch" default:"off" placeholder:"on|off" roles:"api" help:"Console, queue dashboard and admin API show everything and change nothing."`
	LinkTTL         time.Duration  `name:"link-ttl" var:"CALLVAULT_LINK_TTL" type:"duration" default:"6h" min:"1s" max:"7d" placeholder:"TIME" roles:"api" help:"Life of a download link."`
	DownloadMode    string         `var:"CALLVAULT_DOWNLOAD_MODE" type:"choice" oneof:"redirect proxy" placeholder:"MODE" roles:"api" shown:"redirect with an outside S3, proxy with the embedded one" help:"redirect clients to the object store, or proxy the bytes."`
	OIDCIssuer      string         `name:"oidc-issuer" var:"CALLVAULT_OIDC_ISSUER" type:"publicurl" placeholder:"URL" roles:"api" eg:"https://login.example.com/realms/voice" shown:"none" help:"Outside issuer whose access tokens are accepted as well."`
	OIDCAudience    string         `name:"oidc-audience" var:"CALLVAULT_OIDC_AUDIENCE" type:"text" placeholder:"NAME" roles:"api" eg:"callvault" shown:"none" help:"Audience that such a token must name."`
	OIDCTenantClaim string         `name:"oidc-tenant-claim" var:"CALLVAULT_OIDC_TENANT_CLAIM" type:"text" default:"tenant_id" placeholder:"CLAIM" roles:"api" help:"Claim of such a token that holds the tenant's id."`
}

// Work are the settings of planning and building.
type Work struct {
	Schedule      string        `var:"CALLVAULT_SCHEDULE" type:"schedule" default:"0 2 * * *" placeholder:"CRON" roles:"scheduler" help:"When yesterday is planned: a cron line of five fields, in UTC."`
	RetentionDays int           `var:"CALLVAULT_RETENTION_DAYS" type:"whole" default:"3" min:"1" max:"3650" placeholder:"N" roles:"api scheduler" help:"Days that a new tenant's archives are kept for."`
	HealInterval  time.Duration `var:"CALLVAULT_HEAL_INTERVAL" type:"duration" default:"1m" min:"100ms" max:"1h" placeholder:"TIME" roles:"scheduler" help:"How often the catalog is compared with what should be."`
	LateDelay     time.Duration `var:"CALLVAULT_LATE_DELAY" type:"duration" default:"5m" min:"0s" max:"1d" placeholder:"TIME" roles:"api scheduler worker" help:"Least wait between a late recording and the rebuild of its hour."`
	TotalsGrace   time.Duration `var:"CALLVAULT_TOTALS_GRACE" type:"duration" default:"6h" min:"0s" max:"1d" placeholder:"TIME" roles:"scheduler" help:"How long a day that has fewer recordings than its totals say waits for them before day.short is sent."`
	PatrolDays    int           `var:"CALLVAULT_PATROL_DAYS" type:"whole" default:"30" min:"0" max:"3650" placeholder:"N" roles:"worker" help:"Within how many days every recording and every archive in the store is read again and compared; 0 reads only what is faulty or suspect."`
	Concurrency   int           `var:"CALLVAULT_CONCURRENCY" type:"whole" default:"4" min:"1" max:"256" placeholder:"N" roles:"worker scheduler" help:"Builds of one worker at a time, as far as CALLVAULT_MEMORY allows."`
	Memory        int64         `var:"CALLVAULT_MEMORY" type:"size" default:"64MiB" min:"24MiB" max:"64GiB" placeholder:"SIZE" roles:"worker" help:"Part buffers of all builds of one worker together."`
	Lease         time.Duration `var:"CALLVAULT_LEASE" type:"duration" default:"1m" min:"1s" max:"1h" placeholder:"TIME" roles:"worker scheduler" help:"How long a build's claim outlives its worker."`
	BuildStall    time.Duration `var:"CALLVAULT_BUILD_STALL" type:"duration" default:"2m" min:"1s" max:"1h" placeholder:"TIME" roles:"worker" help:"A build without a byte for this long is cancelled and retried."`
	DrainTimeout  time.Duration `var:"CALLVAULT_DRAIN_TIMEOUT" type:"duration" default:"25s" min:"1s" max:"1h" placeholder:"TIME" roles:"api worker scheduler" help:"How long a stopping process waits for downloads and builds to end."`
	StopDelay     time.Duration `var:"CALLVAULT_STOP_DELAY" type:"duration" default:"5s" min:"0s" max:"10m" placeholder:"TIME" roles:"api" help:"How long a stopping API that is not ready any more still takes requests: part of CALLVAULT_DRAIN_TIMEOUT, at most its half."`

	WebhookPrivate bool `var:"CALLVAULT_WEBHOOK_PRIVATE" type:"switch" default:"off" placeholder:"on|off" roles:"api worker" help:"Webhooks may call hosts of loopback and private networks, there also without TLS."`
}

// Embedded says which parts have no address and so run in the process.
func (p Parts) Embedded() (catalog, queue, objects bool) {
	return p.DatabaseURL == "", p.RedisURL == "", p.S3Endpoint == ""
}
