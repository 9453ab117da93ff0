# frozen_string_literal: true

# How Puma serves the app: https://puma.io/puma/Puma/DSL.html

Signal.trap("TERM") { exit } # until Puma has its own
$stdout.sync = true

require_relative "../observe"
require_relative "../database"

port ENV.fetch("PORT", 5000)
workers Database::PROCESSES > 1 ? Database::PROCESSES : 0
count = 24 / Database::PROCESSES # more than there are connections: a request may wait for who trusts an old epoch
threads count, count
persistent_timeout 95 # seconds; longer than the router keeps connections
force_shutdown_after 20 # Heroku kills after 30
raise_exception_on_sigterm false
log_formatter { |text| Log.line(:info, text) }
