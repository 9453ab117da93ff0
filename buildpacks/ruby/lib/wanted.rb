# Says whether this Ruby is what the Gemfile asks for: nothing where it is, or
# where none is asked for; otherwise what is. usage: ruby wanted.rb
require "bundler"

wanted = Bundler.definition.ruby_version
exit unless wanted
here = Bundler::RubyVersion.system
exit if wanted.engine == here.engine && wanted.versions.all? { |v| Gem::Requirement.new(v).satisfied_by?(Gem.ruby_version) }
puts [wanted.engine == "ruby" ? "Ruby" : wanted.engine, *wanted.versions].join(" ")
