# shellcheck shell=bash disable=SC2154 # build, cache and here are common.sh's
# Puts Debian packages into the slug, at .heroku/packages, as they would be at /:
# in the stack's containers a language is there for builds alone, and dynos
# have no more than what /etc/niwa-stack lists.

# carry PACKAGE... does so with the packages and what they depend on. On a
# machine, whose dynos find it all where it is, it does nothing. What it has put
# together is kept in the app's cache for as long as the image has the same
# packages. What is in the slug is linked to it: replace it, do not write to it.
carry() {
	local to=$build/.heroku/packages from stamp
	if ! in_stack; then
		return
	fi
	from=$cache/carried/$(cksum <<<"$*" | tr ' ' -)
	stamp=$(cat "$here/../lib/carry.sh" /etc/niwa-stack /var/lib/dpkg/status | sha256sum)
	if [[ ! -f $from.of || $(<"$from.of") != "$stamp" ]] || ! lend_folder "$from" "$to"; then
		rm -rf "$from" "$from.of"
		gather "$from" "$@"
		folder_state "$from" >"$from.is"
		echo "$stamp" >"$from.of"
		lend_folder "$from" "$to"
	fi
	cp "$here/../lib/packages.sh" "$build/.profile.d/000_packages.sh"
}

# gather FOLDER PACKAGE... puts them there, as they would be at /.
gather() {
	local to=$1 package
	mkdir -p "$to/usr/bin" "$to/usr/sbin"
	while read -r package; do
		dpkg-query -L "$package"
	done < <(closure "${@:2}") | sed -E 's,^/(lib[0-9]*|s?bin)/,/usr/\1/,' | sort -u | grep -vE '^/(lib[0-9]*|s?bin)$|^/usr/share/(doc|doc-base|man|info|locale|lintian|bash-completion|bug)/' |
		while read -r file; do
			if [[ -L $file || -f $file ]]; then
				echo ".$file"
			fi
		done | tar -C / --no-recursion -cf - -T - | tar -C "$to" --no-same-owner -xf -
	relink "$to"
	find "$to"/usr/bin "$to"/usr/sbin -type f -exec sed -i -E '1s,^#! ?/usr/bin/((ruby|php|python)[0-9.]*),#!/usr/bin/env \1,' {} +
}

# closure PACKAGE... prints the packages and those that they depend on, but for
# what every dyno has.
closure() {
	local queue=("$@") package
	local -A seen=()
	while ((${#queue[@]})); do
		package=${queue[0]}
		queue=("${queue[@]:1}")
		if [[ -n ${seen[$package]-} ]] || in_dynos "$package"; then
			continue
		fi
		seen[$package]=1
		echo "$package"
		# shellcheck disable=SC2016 # dpkg's
		mapfile -t -O "${#queue[@]}" queue < <(dpkg-query -W -f '${Pre-Depends}, ${Depends}\n' "$package" |
			tr '|,' '\n' | sed -E 's/[(:].*//; s/ //g; /^$/d')
	done
}

# in_dynos PACKAGE says that dynos have it, or that nobody does: a name that
# others provide, or an alternative that was not taken.
in_dynos() {
	local status
	# shellcheck disable=SC2016 # dpkg's
	status=$(dpkg-query -W -f '${db:Status-Status} ${Priority}' "$1" 2>/dev/null) || return 0
	case $status in
	"installed required" | "installed important") return 0 ;;
	installed*) grep -qx "$1" /etc/niwa-stack ;;
	*) return 0 ;;
	esac
}

# relink makes links relative that lead to what was carried, and drops others
# that lead out: a slug holds none.
relink() {
	local link target
	while IFS= read -r -d '' link; do
		target=$1$(readlink "$link")
		rm "$link"
		if [[ -e $target ]]; then
			ln -sr "$target" "$link"
		fi
	done < <(find "$1" -type l -lname '/*' -print0)
}
