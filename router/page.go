package router

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strconv"

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
	case blankApp:
		return words{"Nothing here yet", "This app exists, but nothing has been deployed to it. Push some code and reload."}
	}
	return words{"Application error", fmt.Sprintf(
		"The app could not answer this request. If it is yours, its log has a line with code=%s that says why: heroku logs --tail", string(c))}
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

// writePage sends a page of the router. It stands alone: nothing is loaded
// from anywhere, except an app's own page, in a frame.
func writePage(w http.ResponseWriter, status int, say words, custom string) error {
	body := fmt.Sprintf("<main>\n<h1>%s</h1>\n<p>%s</p>\n</main>", html.EscapeString(say.title), html.EscapeString(say.text))
	if custom != "" {
		body = fmt.Sprintf("<iframe src=\"%s\" title=\"%s\"></iframe>", html.EscapeString(custom), html.EscapeString(say.title))
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("Server", serverName)
	page := fmt.Sprintf(pageFrame, html.EscapeString(say.title), body)
	h.Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(status)
	_, err := io.WriteString(w, page)
	return err
}
