package router

import (
	"net/http"

	"niwa/router/wire"
)

// code is one of Heroku's H-codes, as the error of a request that the router
// had to end (https://devcenter.heroku.com/articles/error-codes). Behind H17, H25
// and H26 stands which of several it is.
type code string

// number is the code as Heroku prints it.
func (c code) number() string { return string(c[:3]) }

// restricted are the terms of H25.
func restricted(why wire.ResponseError) terms {
	return terms{desc: "HTTP restriction: " + string(why), at: "error", status: http.StatusBadGateway}
}

// faulty are the terms of H26.
func faulty(cause string, status int) terms {
	return terms{desc: "Request Error", cause: cause, at: "error", status: status}
}

// codeOf is the code of an answer that goes to no client.
func codeOf(malformed wire.ResponseError) code {
	switch malformed {
	case wire.InvalidLength:
		return invalidLength
	case wire.InvalidCoding:
		return invalidCoding
	case wire.OversizedStatusLine:
		return oversizedStatus
	case wire.OversizedHeader:
		return oversizedHeader
	case wire.OversizedCookie:
		return oversizedCookie
	}
	return poorlyFormatted
}

const (
	appCrashed         code = "H10"
	backlogTooDeep     code = "H11"
	requestTimeout     code = "H12"
	noResponse         code = "H13"
	noWebProcesses     code = "H14"
	idleConnection     code = "H15"
	poorlyFormatted    code = "H17"
	secondContinue     code = "H17 100 Continue"
	serverInterrupted  code = "H18"
	connectTimeout     code = "H19"
	bootTimeout        code = "H20"
	connectRefused     code = "H21"
	connectionLimit    code = "H22"
	forcedClose        code = "H24"
	invalidLength      code = "H25 content length"
	invalidCoding      code = "H25 transfer encoding"
	oversizedStatus    code = "H25 status line"
	oversizedHeader    code = "H25 header"
	oversizedCookie    code = "H25 cookie"
	unmetExpectation   code = "H26 expectation"
	badHeader          code = "H26 header"
	badChunk           code = "H26 chunk"
	clientInterrupted  code = "H27"
	clientIdle         code = "H28"
	misdirected        code = "H31"
	certMismatch       code = "H32"
	allQuarantined     code = "H34"
	maintenanceMode    code = "H80"
	blankApp           code = "H81"
	platformError      code = "H99"
	statusClientClosed      = 499 // what Heroku logs when the client is at fault; never sent
	statusCertMismatch      = 495 // as nginx calls it: SSL Certificate Error
)

func (c code) Error() string { return c.number() + " " + c.terms().desc }

// terms are the words of a code in the log, and its status.
type terms struct {
	desc   string
	cause  string // of H26
	at     string
	sock   string // who closed, for the two codes that say so
	status int    // 0 where the log leaves it empty
}

func (c code) terms() terms {
	failed := func(desc string) terms {
		return terms{desc: desc, at: "error", status: http.StatusServiceUnavailable}
	}
	switch c {
	case appCrashed:
		return failed("App crashed")
	case backlogTooDeep:
		return failed("Backlog too deep")
	case requestTimeout:
		return failed("Request timeout")
	case noResponse:
		return failed("Connection closed without response")
	case noWebProcesses:
		return failed("No web processes running")
	case idleConnection:
		return failed("Idle connection")
	case poorlyFormatted:
		return failed("Poorly formatted HTTP response")
	case secondContinue:
		return terms{desc: poorlyFormatted.terms().desc, at: "error", status: http.StatusBadGateway}
	case serverInterrupted:
		t := failed("Server Request Interrupted")
		t.sock = "backend"
		return t
	case connectTimeout:
		return failed("Backend connection timeout")
	case bootTimeout:
		return failed("App boot timeout")
	case connectRefused:
		return failed("Backend connection refused")
	case connectionLimit:
		return failed("Connection limit reached")
	case forcedClose:
		return terms{desc: "Forced close", at: "error"}
	case invalidLength:
		return restricted(wire.InvalidLength)
	case invalidCoding:
		return restricted(wire.InvalidCoding)
	case oversizedStatus:
		return restricted(wire.OversizedStatusLine)
	case oversizedHeader:
		return restricted(wire.OversizedHeader)
	case oversizedCookie:
		return restricted(wire.OversizedCookie)
	case unmetExpectation:
		return faulty("unsupported expect header value", http.StatusExpectationFailed)
	case badHeader:
		return faulty("bad header", http.StatusBadRequest)
	case badChunk:
		return faulty("bad chunk", http.StatusBadRequest)
	case clientInterrupted:
		return terms{desc: "Client Request Interrupted", at: "warning", sock: "client", status: statusClientClosed}
	case clientIdle:
		return terms{desc: "Client Connection Idle", at: "warning", status: statusClientClosed}
	case misdirected:
		return terms{desc: "Misdirected Request", at: "error", status: http.StatusMisdirectedRequest}
	case certMismatch:
		return terms{desc: "TLS Certificate Mismatch", at: "error", status: statusCertMismatch}
	case allQuarantined:
		return failed("All up dynos are quarantined")
	case maintenanceMode:
		return terms{desc: "Maintenance mode", at: "info", status: http.StatusServiceUnavailable}
	case blankApp:
		// The documentation says 503; what Heroku logs and serves is 502.
		return terms{desc: "Blank app", at: "info", status: http.StatusBadGateway}
	}
	return failed("Platform error")
}

// answerable is whether there is still a client to send a page to.
func (c code) answerable() bool {
	status := c.terms().status
	return status != 0 && status != statusClientClosed
}
