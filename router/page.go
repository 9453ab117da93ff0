package router

import (
	"fmt"
	"html"
	"net/http"
	"net/url"

	"niwa/router/route"
)

const pageFrame = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<style>
html, body, iframe { margin: 0; width: 100%%; height: 100%%; border: 0; display: block }
main { max-width: 34rem; margin: 0 auto; padding: 20vh 1.5rem 0; font: 1rem/1.6 system-ui, sans-serif; color: #333 }
h1 { font-size: 1.5rem; font-weight: 600 }
code { background: #f2f2f2; padding: .1em .4em; border-radius: 3px }
</style>
</head>
<body>
%s
</body>
</html>
`

// words are what a page of the router says.
type words struct{ title, text string }

func noSuchApp() words {
	return words{"No such app", "There is no app at this address. Check the spelling of its name, or the domains of the app that should be here."}
}

func (c code) words() words {
	switch c {
	case maintenanceMode:
		return words{"Down for maintenance", "This app is being worked on and will be back soon."}
	case certMismatch:
		return words{"Certificate mismatch", "This request came over a connection to another host, whose certificate is not for this one. A proxy on the way should pass on the host that it connects to."}
	case blankApp:
		return words{"Nothing here yet", "This app exists, but nothing has been deployed to it. Push some code and reload."}
	}
	return words{"Application error", fmt.Sprintf(
		"The app could not answer this request. If it is yours, its log has a line with code=%s that says why: heroku logs --tail", c.number())}
}

// customPage is the URL of the page that the app wants shown instead, or empty.
func (c code) customPage(app *route.App) string {
	page := app.ErrorPageURL
	switch c {
	case maintenanceMode:
		page = app.MaintenancePageURL
	case blankApp:
		page = ""
	}
	if u, err := url.Parse(page); err != nil || u.Host == "" || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return page
}

// page sends a page of the router. It stands alone: nothing is loaded from
// anywhere, except an app's own page, in a frame. It is false when the
// connection is to end.
func (x *exchange) page(status int, say words, custom string) (keep bool) {
	body := fmt.Sprintf("<main>\n<h1>%s</h1>\n<p>%s</p>\n</main>", html.EscapeString(say.title), html.EscapeString(say.text))
	if custom != "" {
		body = fmt.Sprintf("<iframe src=\"%s\" title=\"%s\"></iframe>", html.EscapeString(custom), html.EscapeString(say.title))
	}
	body = fmt.Sprintf(pageFrame, html.EscapeString(say.title), body)
	keep = !x.closes && x.upload.ended()
	x.conn.unread = x.conn.unread || !x.upload.ended()
	out := appendStatus(x.answer[:0], status, []byte(http.StatusText(status)))
	out = append(appendServer(out, x.profile.server), "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-cache, no-store\r\n"...)
	out = append(appendConnection(appendDate(appendLength(out, len(body))), !keep), "\r\n"...)
	if !x.isHead {
		out = append(out, body...)
	}
	x.answer = out
	return x.conn.send(out) == nil && keep
}
