# frozen_string_literal: true

# Packs the gems that the app in this folder is locked to, but for those of its
# tests, into another folder: what "bundle cache" does where gems can be fetched.
# They are made of this machine's Debian packages, and what is compiled in
# those is so in these.
# usage: ruby vendor.rb FOLDER
require "bundler"
require "fileutils"
require "rubygems/package"
require "tmpdir"

# homes says where a file of a package is in its gem, by what its path begins
# with.
def homes(spec)
  {
    %r{\A/usr/lib/ruby/vendor_ruby/} => "lib/",
    %r{\A/usr/lib/[^/]+/ruby/vendor_ruby/[\d.]+/} => "lib/",
    %r{\A/usr/lib/[^/]+/rubygems-integration/[\d.]+/extensions/[^/]+/[\d.]+/[^/]+/} => "lib/",
    %r{\A/usr/(share|lib/[^/]+)/rubygems-integration/[^/]+/gems/[^/]+/} => "",
    %r{\A/usr/bin/} => "#{spec.bindir}/"
  }
end

# copy copies what a gem consists of, and returns the names of its files.
def copy(spec, dir)
  package = `dpkg-query -S #{spec.loaded_from}`[/\A[^:]+/]
  `dpkg-query -L #{package}`.lines(chomp: true).filter_map do |from|
    home, inside = homes(spec).find { |path, _| from.match?(path) }
    next unless home && File.file?(from)

    name = from.sub(home, inside)
    FileUtils.mkdir_p(File.dirname("#{dir}/#{name}"))
    FileUtils.cp(from, "#{dir}/#{name}")
    name
  end
end

def pack(name, to)
  file = Dir["/usr/{share,lib/*}/rubygems-integration/*/specifications/#{name}.gemspec"].first
  spec = Gem::Specification.load(file || abort("no Debian package has #{name}"))
  Dir.mktmpdir do |dir|
    spec.files = copy(spec, dir)
    spec.extensions = []
    spec.require_paths = ["lib"]
    Dir.chdir(dir) { Gem::Package.build(spec, true, false, "#{to}/#{name}.gem") }
  end
end

Gem::DefaultUserInteraction.ui = Gem::SilentUI.new
to = File.expand_path(ARGV.fetch(0))
FileUtils.mkdir_p(to)
names = Bundler.definition.specs_for([:default]).map(&:full_name)
names.grep_v(/\Abundler-/).each { |name| pack(name, to) }
