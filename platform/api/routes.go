package api

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"niwa/router/metrics"
)

// route is one thing a client may ask for. status is that of success.
type route struct {
	method string
	path   string
	status int
	handle func(*call) (any, error)
}

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	patch  = http.MethodPatch
	remove = http.MethodDelete
)

// register puts everything the API serves in its place. A more particular
// address comes before one with a parameter in its stead.
func (a *API) register(r fiber.Router) {
	for _, o := range a.open() {
		r.Add(o.method, o.path, o.handle)
	}
	for _, row := range a.routes() {
		r.Add(row.method, row.path, a.handle(row))
	}
	for _, row := range a.dataRoutes() {
		r.Add(row.method, row.path, a.handleData(row))
	}
	r.Use(a.behindAuth)
	if a.Mount != nil {
		a.Mount(r)
	}
	r.Use(a.nowhere)
}

// nowhere answers for every address that is none.
func (a *API) nowhere(c *fiber.Ctx) error { return noEndpoint() }

// routes is the Platform API.
func (a *API) routes() []route {
	return []route{
		{get, "/account", 200, a.accountInfo},
		{get, "/account/rate-limits", 200, a.rateLimits},
		{get, "/account/features", 200, a.none},
		{get, "/account/features/:feature", 200, a.noSuch("feature")},
		{get, "/users/:user", 200, a.userInfo},

		{get, "/oauth/authorizations", 200, a.authorizationList},
		{post, "/oauth/authorizations", 201, a.authorizationCreate},
		{get, "/oauth/authorizations/:authorization", 200, a.authorizationInfo},
		{remove, "/oauth/authorizations/:authorization", 200, a.authorizationDelete},
		{remove, "/oauth/sessions/:session", 200, a.sessionDelete},

		{get, "/apps", 200, a.appList},
		{get, "/users/:user/apps", 200, a.userApps},
		{post, "/apps", 201, a.appCreate},
		{get, "/apps/:app", 200, a.appInfo},
		{patch, "/apps/:app", 200, a.appUpdate},
		{remove, "/apps/:app", 200, a.appDelete},
		{get, "/apps/:app/collaborators", 200, a.collaboratorList},
		{get, "/apps/:app/features", 200, a.featureList},
		{get, "/apps/:app/features/:feature", 200, a.featureInfo},
		{patch, "/apps/:app/features/:feature", 200, a.featureUpdate},
		{get, "/niwa/apps/:app/routing", 200, a.routingInfo},
		{patch, "/niwa/apps/:app/routing", 200, a.routingUpdate},
		{get, "/apps/:app/pipeline-couplings", 200, a.noSuch("pipeline coupling")},

		{get, "/apps/:app/router-metrics/errors", 200, a.routerMetrics(metrics.Errors)},
		{get, "/apps/:app/router-metrics/latency", 200, a.routerMetrics(metrics.Latency)},
		{get, "/apps/:app/router-metrics/status", 200, a.routerMetrics(metrics.Status)},
		{get, "/apps/:app/router-metrics/throughput", 200, a.routerMetrics(metrics.Throughput)},

		{get, "/apps/:app/domains", 200, a.domainList},
		{post, "/apps/:app/domains", 201, a.domainCreate},
		{get, "/apps/:app/domains/:domain", 200, a.domainInfo},
		{patch, "/apps/:app/domains/:domain", 200, a.domainUpdate},
		{remove, "/apps/:app/domains/:domain", 200, a.domainDelete},

		{get, "/apps/:app/sni-endpoints", 200, a.sniList},
		{post, "/apps/:app/sni-endpoints", 201, a.sniCreate},
		{get, "/apps/:app/sni-endpoints/:endpoint", 200, a.sniInfo},
		{patch, "/apps/:app/sni-endpoints/:endpoint", 200, a.sniUpdate},
		{remove, "/apps/:app/sni-endpoints/:endpoint", 200, a.sniDelete},
		{post, "/apps/:app/acm", 200, a.acmEnable},
		{patch, "/apps/:app/acm", 200, a.acmRefresh},
		{remove, "/apps/:app/acm", 200, a.acmDisable},

		{get, "/apps/:app/config-vars", 200, a.configInfo},
		{patch, "/apps/:app/config-vars", 200, a.configUpdate},

		{get, "/apps/:app/releases", 200, a.releaseList},
		{post, "/apps/:app/releases", 201, a.releaseCreate},
		{get, "/apps/:app/releases/:release", 200, a.releaseInfo},
		{get, "/apps/:app/releases/:release/config-vars", 200, a.releaseConfig},

		{post, "/sources", 201, a.sourceCreate},
		{post, "/apps/:app/sources", 201, a.sourceCreate},
		{get, "/apps/:app/builds", 200, a.buildList},
		{post, "/apps/:app/builds", 201, a.buildCreate},
		{get, "/apps/:app/builds/:build", 200, a.buildInfo},
		{remove, "/apps/:app/build-cache", 200, a.cacheDelete},
		{get, "/apps/:app/slugs/:slug", 200, a.slugInfo},
		{get, "/apps/:app/buildpack-installations", 200, a.installationList},
		{put, "/apps/:app/buildpack-installations", 200, a.installationUpdate},

		{get, "/apps/:app/formation", 200, a.formationList},
		{patch, "/apps/:app/formation", 200, a.formationBatch},
		{get, "/apps/:app/formation/:type", 200, a.formationInfo},
		{patch, "/apps/:app/formation/:type", 200, a.formationUpdate},
		{remove, "/apps/:app/formations/:type", 202, a.dynoRestart},
		{post, "/apps/:app/formations/:type/actions/stop", 202, a.dynoRestart},

		{get, "/apps/:app/dynos", 200, a.dynoList},
		{post, "/apps/:app/dynos", 201, a.dynoCreate},
		{remove, "/apps/:app/dynos", 202, a.dynoRestart},
		{get, "/apps/:app/dynos/:dyno", 200, a.dynoInfo},
		{post, "/apps/:app/dynos/:dyno", 201, a.dynoInside},
		{remove, "/apps/:app/dynos/:dyno", 202, a.dynoRestart},
		{post, "/apps/:app/dynos/:dyno/actions/stop", 202, a.dynoRestart},

		{post, "/apps/:app/log-sessions", 201, a.logSessionCreate},

		{get, "/addons", 200, a.addonList},
		{get, "/users/:user/addons", 200, a.userAddons},
		{get, "/addons/:addon", 200, a.addonInfo},
		{get, "/apps/:app/addons", 200, a.addonList},
		{post, "/apps/:app/addons", 201, a.addonCreate},
		{get, "/apps/:app/addons/:addon", 200, a.addonInfo},
		{patch, "/apps/:app/addons/:addon", 200, a.addonUpdate},
		{remove, "/apps/:app/addons/:addon", 200, a.addonDelete},
		{post, "/actions/addons/resolve", 200, a.addonResolve},

		{get, "/addon-attachments", 200, a.attachmentList},
		{post, "/addon-attachments", 201, a.attachmentCreate},
		{get, "/addon-attachments/:attachment", 200, a.attachmentInfo},
		{remove, "/addon-attachments/:attachment", 200, a.attachmentDelete},
		{get, "/addons/:addon/config", 200, a.addonConfig},
		{get, "/addons/:addon/config/:namespace", 200, a.addonConfig},
		{get, "/addons/:addon/addon-attachments", 200, a.attachmentList},
		{get, "/apps/:app/addon-attachments", 200, a.attachmentList},
		{get, "/apps/:app/addon-attachments/:attachment", 200, a.attachmentInfo},
		{post, "/actions/addon-attachments/resolve", 200, a.attachmentResolve},

		{get, "/addon-services", 200, a.serviceList},
		{get, "/addon-services/:service", 200, a.serviceInfo},
		{get, "/addon-services/:service/plans", 200, a.planList},
		{get, "/addon-services/:service/plans/:plan", 200, a.planInfo},
		{get, "/plans/:plan", 200, a.planInfo},

		{get, "/regions", 200, a.regionList},
		{get, "/regions/:region", 200, a.regionInfo},
		{get, "/stacks", 200, a.stackList},
		{get, "/stacks/:stack", 200, a.stackInfo},
		{get, "/apps/:app/available-stacks", 200, a.stackList},
		{get, "/generations", 200, a.generationList},
		{get, "/generations/:generation", 200, a.generationInfo},
		{get, "/dyno-sizes", 200, a.sizeList},
		{get, "/dyno-sizes/:size", 200, a.sizeInfo},
		{get, "/apps/:app/available-dyno-sizes", 200, a.sizeList},

		{get, "/teams", 200, a.none},
		{post, "/teams/apps", 201, a.appCreate},
		{get, "/teams/apps", 200, a.none},
		{get, "/teams/:team", 200, a.noSuch("team")},
		{get, "/teams/:team/apps", 200, a.noSuch("team")},
	}
}

// dataRoutes is the Data API, which lies on the same port because the official
// CLI takes only its host name from the environment.
func (a *API) dataRoutes() []route {
	const pg, rd = postgresProvider, redisProvider
	return []route{
		{get, "/client/v11/databases/:database", 200, a.databaseInfo},
		{get, "/client/v11/databases/:database/wait_status", 200, a.databaseWait},
		{put, "/client/v11/databases/:database/reset", 200, a.act(pg, a.reset)},
		{put, "/client/v11/databases/:database/stats_reset", 200, a.act(pg, a.resetStats)},
		{put, "/client/v11/databases/:database/unfollow", 200, a.lacks(pg, "This database follows no other.")},
		{post, "/client/v11/databases/:database/connection_reset", 200, a.act(pg, a.disconnect)},

		{get, "/postgres/v0/databases/:database/credentials", 200, a.credentialList},
		{post, "/postgres/v0/databases/:database/credentials", 201, a.credentialCreate},
		{get, "/postgres/v0/databases/:database/credentials/:credential", 200, a.credentialInfo},
		{remove, "/postgres/v0/databases/:database/credentials/:credential", 200, a.credentialDelete},
		{post, "/postgres/v0/databases/:database/credentials/:credential/credentials_rotation", 200, a.rotate(pg)},
		{post, "/postgres/v0/databases/:database/credentials_rotation", 200, a.rotate(pg)},
		{get, "/postgres/v0/databases/:database/config", 200, a.settings(pg)},
		{patch, "/postgres/v0/databases/:database/config", 200, a.configure(pg)},

		{get, "/redis/v0/databases/:database", 200, a.redisInfo},
		{get, "/redis/v0/databases/:database/wait", 200, a.redisWait},
		{get, "/redis/v0/databases/:database/config", 200, a.settings(rd)},
		{patch, "/redis/v0/databases/:database/config", 200, a.configure(rd)},
		{post, "/redis/v0/databases/:database/credentials_rotation", 200, a.rotate(rd)},
		{post, "/redis/v0/databases/:database/stats/reset", 200, a.act(rd, a.resetStats)},
		{post, "/redis/v0/databases/:database/upgrade", 200, a.lacks(rd, "There is one version of Key-Value Store here: that of the machine's redis-server.")},
	}
}

// openRoute is a route that needs no token.
type openRoute struct {
	method string
	path   string
	handle fiber.Handler
}

// open is what needs no token: signed URLs, which are secrets themselves, and
// what Heroku serves to anybody.
func (a *API) open() []openRoute {
	return []openRoute{
		{get, outputPath + ":id", a.readOutput},
		{get, logPath + ":id", a.readLog},
		{put, sourcePath + ":id", a.putSource},
		{get, sourcePath + ":id", a.getSource},
		{get, slugPath + ":id", a.getSlug},
		{get, addonPath + ":id", a.showAddon},
		{get, backupPath, a.backup},

		{post, "/auth", a.loginBegin},
		{get, "/auth/browser/:id", a.loginPage},
		{post, "/auth/browser/:id", a.loginFinish},
		{get, "/auth/cli/:id", a.loginWait},

		{get, "/buildpacks", a.registrySearch},
		{get, "/buildpacks/:buildpack", a.registryInfo},
		{get, "/buildpacks/:buildpack/revisions", a.registryRevisions},
		{get, "/buildpacks/:buildpack/readme", a.registryReadme},
		{get, "/api/v4/current-status", a.currentStatus},
	}
}
