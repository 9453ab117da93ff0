# frozen_string_literal: true

require_relative "app"

outbox = Outbox.new
outbox.start
at_exit { outbox.stop }
users = Users.new(Cache.new, outbox)
metrics = Metrics.new(outbox)

use Observe, metrics
run App.new(users, metrics)
