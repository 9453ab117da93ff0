# Says which Ruby and which Bundler this is, in a line, and in another what the
# Gemfile asks for, where it asks for another Ruby. usage: ruby wanted.rb
require "bundler"

puts "#{RUBY_VERSION} #{Bundler::VERSION}"
wanted = Bundler.definition.ruby_version
exit unless wanted
here = Bundler::RubyVersion.system
exit if wanted.engine == here.engine && wanted.versions.all? { |v| Gem::Requirement.new(v).satisfied_by?(Gem.ruby_version) }
puts [wanted.engine == "ruby" ? "Ruby" : wanted.engine, *wanted.versions].join(" ")
