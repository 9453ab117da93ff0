// The life of an app, driven by heroku-client (npm), unmodified.
// Usage: node lifecycle.js API_URL TARBALL, with HEROKU_API_KEY and NODE_PATH.
const fs = require('fs')
const assert = require('assert')
const Heroku = require('heroku-client')

const [host, tarball] = process.argv.slice(2)
const heroku = new Heroku({ host, token: process.env.HEROKU_API_KEY })

async function until (what, ready) {
  const deadline = Date.now() + 90000
  for (;;) {
    const seen = await ready()
    if (seen) return seen
    if (Date.now() > deadline) throw new Error(`waited 90 s for ${what}`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

async function main () {
  const account = await heroku.get('/account')
  assert.match(account.email, /@localhost$/)

  const app = await heroku.post('/apps', { body: { name: 'node-garden' } })
  assert.strictEqual(app.owner.email, account.email)
  await assert.rejects(heroku.post('/apps', { body: { name: 'node-garden' } }), err => err.statusCode === 422 && err.body.id === 'invalid_params')
  await heroku.patch('/apps/node-garden/config-vars', { body: { GREETING: 'from node' } })

  const { source_blob: blob } = await heroku.post('/sources')
  const put = await fetch(blob.put_url, { method: 'PUT', body: fs.readFileSync(tarball) })
  assert.ok(put.ok, `uploading the source: ${put.status}`)
  const build = await heroku.post('/apps/node-garden/builds', { body: { source_blob: { url: blob.get_url, version: 'one' } } })
  const output = await (await fetch(build.output_stream_url)).text()
  assert.match(output, /-----> /)
  const done = await heroku.get(`/apps/node-garden/builds/${build.id}`)
  assert.strictEqual(done.status, 'succeeded', output)

  await until('the web dyno', async () => (await heroku.get('/apps/node-garden/dynos')).find(d => d.name === 'web.1' && d.state === 'up'))
  await heroku.patch('/apps/node-garden/formation', { body: { updates: [{ type: 'web', quantity: 2 }] } })
  await until('two web dynos', async () => (await heroku.get('/apps/node-garden/dynos')).filter(d => d.state === 'up').length === 2)

  const addon = await heroku.post('/apps/node-garden/addons', { body: { plan: 'heroku-redis:mini' } })
  await until('the add-on', async () => (await heroku.get(`/addons/${addon.id}`)).state === 'provisioned')
  assert.match((await heroku.get('/apps/node-garden/config-vars')).REDIS_URL, /^rediss?:/)

  const releases = await heroku.get('/apps/node-garden/releases')
  const deploy = releases.find(r => r.id === done.release.id)
  const back = await heroku.post('/apps/node-garden/releases', { body: { release: deploy.id } })
  assert.strictEqual(back.description, `Rollback to v${deploy.version}`)

  const names = ['node-one', 'node-two', 'node-three']
  for (const name of names) await heroku.post('/apps', { body: { name } })
  const paged = await heroku.get('/apps', { headers: { Range: 'name ..; max=2' } })
  assert.deepStrictEqual(paged.map(a => a.name).filter(n => names.includes(n)).sort(), names.slice().sort())
  for (const name of names) await heroku.delete(`/apps/${name}`)

  const session = await heroku.post('/apps/node-garden/log-sessions', { body: { lines: 50 } })
  assert.match(await (await fetch(session.logplex_url)).text(), /heroku\[web\.1\]/)

  await heroku.delete('/apps/node-garden')
  await assert.rejects(heroku.get('/apps/node-garden'), err => err.statusCode === 404 && err.body.resource === 'app')
  console.log('life cycle complete')
}

main().catch(err => { console.error(err, err.body); process.exit(1) })
