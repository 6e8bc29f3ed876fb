# shellcheck shell=sh
# ask_engine QUESTION...: queries the Docker engine, and prints the answers. Each question is one argument: its name and
# its own arguments, separated by spaces. FILTER is a filter of `docker ps`, such as status=paused.
#   server             `server VERSION`
#   networks, volumes  `networks JSON` or `volumes JSON`: all of them in one line, as the engine describes them
#   names              for each container, `name NAME`, and `publishes ADDRESS PORT PROTOCOL NAME` for each port that the
#                      host publishes
#   images             `REPOSITORY TAG DIGEST ID` for each name of each image, with <none> for what is missing
#   ids FILTER...      the ids of the containers, including those that do not run
#   containers FILTER...  each of these containers as JSON with the fields of $fields, such as `status=State/Status`
#   mounts FILTER...   `PID ID SERVICE TYPE NAME SOURCE DESTINATION` for each mount of these containers, with tabs
#                      between the words; SERVICE, SOURCE and DESTINATION are JSON strings
#   writable           the paths that containers can write to, and the places of all volumes
#   places VOLUME...   the places of volumes: JSON strings of paths, and lines `o OPTIONS`
#   devices VOLUME...  `NAME DEVICE` for each volume, with a tab between the words; DEVICE is a JSON string, or nothing
#   options VOLUME     the options that the volume was created with, in JSON
# Fails if the engine does not answer, or if the named object does not exist. Perl, which every Debian and Ubuntu has,
# queries the engine's socket in a fifth of the time that `docker` takes. Without Perl or that socket, `docker` is run;
# `containers` then prints the template $template.
ask_engine() {
  ask_socket "$@" && return
  # `docker` would get the same answer.
  case $? in 4 | 124) return 1 ;; esac
  for question; do
    # shellcheck disable=SC2086 # a word each
    ask_docker $question || return
  done
}

# compose_program: prints the command that runs Docker Compose: the path of the plugin that Docker would find first,
# because `docker compose` starts the plugin twice. If Docker was not installed from packages, its plugin may be elsewhere.
compose_program() {
  case $(command -v docker) in
    /usr/bin/docker | /usr/local/bin/docker | /bin/docker)
      for folder in /root/.docker /usr/local/lib/docker /usr/local/libexec/docker /usr/lib/docker /usr/libexec/docker; do
        if [ -x "$folder/cli-plugins/docker-compose" ]; then echo "$folder/cli-plugins/docker-compose" && return; fi
      done
      ;;
  esac
  echo docker compose
}

# ask_docker QUESTION [ARGUMENT...]: answers one question by running `docker`.
# shellcheck disable=SC2086,SC2016 # one word each; the templates are for Docker
ask_docker() (
  in_time() { timeout 20 docker "$@" </dev/null; }
  places() { in_time volume inspect --format '{{json .Mountpoint}}{{println}}{{with .Options}}{{json (index . "device")}}{{println}}o {{json (index . "o")}}{{println}}{{end}}' "$@"; }
  all() {
    found=$(in_time "$1" ls -q) || return
    [ -z "$found" ] || found=$(in_time "$1" inspect $found) || return
    [ -z "$found" ] || printf '%ss %s\n' "$1" "$(printf %s "$found" | tr -d '\n')"
  }
  question=$1
  shift
  case $question in
    server) found=$(in_time version --format '{{.Server.Version}}') && printf 'server %s\n' "$found" ;;
    networks) all network ;;
    volumes) all volume ;;
    names) in_time ps -a --format 'name {{.Names}}' ;;
    images) in_time image ls --no-trunc --digests --format '{{.Repository}} {{.Tag}} {{.Digest}} {{.ID}}' ;;
    places) places "$@" ;;
    devices) in_time volume inspect --format '{{.Name}}{{"\t"}}{{with .Options}}{{json (index . "device")}}{{end}}' "$@" ;;
    options) in_time volume inspect --format '{{json .Options}}' "$@" ;;
    writable)
      found=$(in_time ps -aq --no-trunc) || exit
      [ -z "$found" ] || in_time inspect --format '{{range .Mounts}}{{if .RW}}{{json .Source}}{{println}}{{end}}{{end}}' $found || exit
      found=$(in_time volume ls -q) || exit
      [ -z "$found" ] || places $found
      ;;
    ids | containers | mounts)
      for filter; do
        set -- "$@" --filter "$filter"
        shift
      done
      found=$(in_time ps -aq --no-trunc "$@") || exit
      [ -n "$found" ] || exit 0
      case $question in
        ids) printf '%s\n' "$found" ;;
        # A container may end meanwhile.
        containers) in_time inspect --format "${template:?}" $found || [ $? != 124 ] ;;
        mounts) in_time inspect --format '{{$one := .}}{{range .Mounts}}{{$one.State.Pid}}{{"\t"}}{{$one.Id}}{{"\t"}}{{json (index $one.Config.Labels "com.docker.compose.service")}}{{"\t"}}{{.Type}}{{"\t"}}{{if eq (print .Type) "volume"}}{{.Name}}{{end}}{{"\t"}}{{json .Source}}{{"\t"}}{{json .Destination}}{{"\n"}}{{end}}' $found ;;
      esac
      ;;
  esac
)

# ask_socket QUESTION...: answers questions through the engine's socket. Ends with 4 if the engine does not have what a
# question names.
ask_socket() {
  # shellcheck disable=SC2016 # for Perl
  command -v perl >/dev/null && timeout 10 perl -e '
    use strict;
    my ($head, $text, @said);

    # Reads one value of the JSON text. Strings and numbers stay as they are written.
    sub value {
      if ($text =~ /\G\s*\{/gc) {
        my %object;
        until ($text =~ /\G\s*\}/gc) {
          $text =~ /\G\s*,?\s*"((?:[^"\\]++|\\.)*+)"\s*:/gc or exit 1;
          my $key = $1;
          $object{$key} = value();
        }
        return \%object;
      }
      if ($text =~ /\G\s*\[/gc) {
        my @list;
        until ($text =~ /\G\s*\]/gc) { $text =~ /\G\s*,/gc; push @list, value() }
        return \@list;
      }
      $text =~ /\G\s*("(?:[^"\\]++|\\.)*+"|[^\s,\]\}]+)/gc or exit 1;
      return $1;
    }

    sub json {
      my ($value) = @_;
      return "null" unless defined $value;
      return "[" . join(",", map { json($_) } @$value) . "]" if ref $value eq "ARRAY";
      return "{" . join(",", map { "\"$_\":" . json($value->{$_}) } sort keys %$value) . "}" if ref $value eq "HASH";
      return $value;
    }

    sub at {
      my ($value, @path) = @_;
      for (@path) { $value = ref $value eq "HASH" ? $value->{$_} : undef }
      return $value;
    }

    sub list { my $value = at(@_); return ref $value eq "ARRAY" ? @$value : () }

    sub bare { my $value = at(@_); return defined $value && $value =~ /^"(.*)"$/s ? $1 : "" }

    # Returns the answer to a request, or nothing if there is no such object. With a second argument, does not read the
    # text of the answer.
    sub ask {
      my ($path, $said) = ($_[0], "");
      my $engine;
      socket($engine, 1, 1, 0) && connect($engine, pack "Sa*x", 1, "/run/docker.sock") or exit 1;
      syswrite $engine, "GET $path HTTP/1.0\r\nHost: docker\r\n\r\n";
      1 while length $said < 16 << 20 && sysread $engine, $said, 65536, length $said;
      ($head, $text) = split /\r\n\r\n/, $said, 2;
      return if $head =~ m{^HTTP/1.\d 404 };
      $head =~ m{^HTTP/1.\d 200 } or exit 1;
      return if @_ > 1;
      my $value = value();
      $text =~ /\G\s*$/gc && ref $value or exit 1;
      return $value;
    }

    # Returns the answer to a request for a list. Any other answer would look like an empty list.
    sub all_of { my $found = ask(@_); return ref $found eq "ARRAY" ? @$found : exit 1 }

    sub some {
      my %filters;
      for (@_) { /^(\w+)=(.*)$/ or exit 2; push @{$filters{$1}}, "\"$2\"" }
      my $filters = json(\%filters);
      $filters =~ s/([^\w.~-])/sprintf "%%%02X", ord $1/ge;
      return all_of("/containers/json?all=1&filters=$filters");
    }

    # A container may end meanwhile.
    sub each_of { return grep { defined } map { ask("/containers/" . bare($_, "Id") . "/json") } some(@_) }

    sub say_places {
      my ($volume) = @_;
      push @said, json(at($volume, "Mountpoint")), "\n";
      for (["device", ""], ["o", "o "]) {
        my $value = at($volume, "Options", $_->[0]);
        push @said, "$_->[1]$value\n" if defined $value;
      }
    }

    my %answers = (
      server => sub { ask("/_ping", "plain"); $head =~ m{^Server: Docker/(\S+)}mi or exit 1; push @said, "server $1\n" },
      networks => sub { push @said, "networks ", json(ask("/networks")), "\n" },
      volumes => sub { push @said, "volumes ", json(ask("/volumes")), "\n" },
      names => sub {
        for my $container (some()) {
          my ($name) = grep { m{^[^/]+$} } map { m{^"/(.*)"$} } list($container, "Names");
          push @said, "name $name\n";
          for (grep { defined at($_, "PublicPort") } list($container, "Ports")) {
            push @said, "publishes ", bare($_, "IP") || "-", " ", at($_, "PublicPort"), " ", bare($_, "Type"), " $name\n";
          }
        }
      },
      images => sub {
        for my $image (all_of("/images/json?digests=1")) {
          my @tags = map { /^"(.*):([^:\/]*)"$/ ? "$1 $2 <none>" : () } list($image, "RepoTags");
          my @digests = map { /^"(.*)@(.*)"$/ ? "$1 <none> $2" : () } list($image, "RepoDigests");
          push @said, "$_ ", bare($image, "Id"), "\n" for @tags, @digests, "<none> <none> <none>";
        }
      },
      ids => sub { push @said, bare($_, "Id"), "\n" for some(@_) },
      containers => sub {
        for my $container (each_of(@_)) {
          my @fields = map { /^(\w+)=(.*)$/ ? "\"$1\":" . json(at($container, split "/", $2)) : () } split " ", $ENV{fields};
          push @said, "{", join(",", @fields), "}\n";
        }
      },
      mounts => sub {
        for my $container (each_of(@_)) {
          my @first = (at($container, "State", "Pid"), bare($container, "Id"), json(at($container, "Config", "Labels", "com.docker.compose.service")));
          for (list($container, "Mounts")) {
            my $type = bare($_, "Type");
            push @said, join("\t", @first, $type, $type eq "volume" ? bare($_, "Name") : "", json(at($_, "Source")), json(at($_, "Destination"))), "\n";
          }
        }
      },
      writable => sub {
        for my $container (some()) {
          my @mounts = grep { at($_, "RW") ne "false" } list($container, "Mounts");
          # The list of containers lacks the sources of some volumes.
          @mounts = grep { at($_, "RW") ne "false" } list(ask("/containers/" . bare($container, "Id") . "/json"), "Mounts")
            if grep { bare($_, "Source") eq "" } @mounts;
          push @said, json(at($_, "Source")), "\n" for @mounts;
        }
        say_places($_) for list(ask("/volumes") || exit 1, "Volumes");
      },
      places => sub { say_places(ask("/volumes/$_") || exit 4) for @_ },
      devices => sub {
        for my $name (@_) {
          my $device = at(ask("/volumes/$name") || exit 4, "Options", "device");
          push @said, "$name\t", defined $device ? $device : "", "\n";
        }
      },
      options => sub { push @said, json(at(ask("/volumes/$_[0]") || exit 4, "Options")), "\n" },
    );
    for (@ARGV) { my ($question, @arguments) = split " "; $answers{$question}->(@arguments) }
    print @said' "$@"
}
