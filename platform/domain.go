package platform

import "time"

// Domain is a host name that leads to an app beside the one that every app
// has. It may begin with "*." to stand for every name below it.
type Domain struct {
	ID       string `bun:",pk"`
	AppID    string
	Hostname string
	// SNIEndpointID is the certificate that the domain is served with; nil is
	// none.
	SNIEndpointID *string
	// ACMStatus is how far automatic certificate management has come, in the
	// words of the official CLI; nil while there is nothing to tell.
	ACMStatus       *string
	ACMStatusReason *string
	// ACMAttempts are failures in a row, and ACMRetryAt is when the next try
	// is due.
	ACMAttempts int
	ACMRetryAt  *time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// What ACMStatus may be.
const (
	ACMVerified = "verified" // a certificate is on its way
	ACMIssued   = "cert issued"
	ACMFailing  = "failing" // and is tried again
	ACMFailed   = "failed"  // until somebody asks for it
)

// SNIEndpoint is a certificate of an app. Its private key is kept sealed, and
// apart.
type SNIEndpoint struct {
	ID               string `bun:",pk"`
	AppID            string
	Name             string
	CertificateChain string // PEM, the server's own first
	ACM              bool   // made, and to be renewed, by niwa
	CreatedAt        time.Time
	UpdatedAt        time.Time
}
