//! What is in the images that jobs build: a whole Debian, and what file systems have
//! besides files (docs/profiles.md).

use support::node::ADDRESS;

use crate::job::Job;
use crate::site::Site;

const SCRIPT: &str = r#"
mkdir context && cd context
tar --create --one-file-system --ignore-failed-read --xattrs --xattrs-include='*' --directory / \
  bin sbin lib lib64 etc usr var/lib/dpkg 2>/dev/null | podman import --quiet - debian
cat >check <<'CHECK'
#!/bin/sh
set -e
attribute() { tar --create --xattrs --xattrs-include='*' --directory /srv "$1" | grep --text --quiet "SCHILY.xattr.$2"; }
test "$(stat --format '%U %a %h' /srv/f)" = 'someone 4711 2'
test /srv/f -ef /srv/linked
test -p /srv/pipe
test "$(stat --format '%u:%g' /srv/far)" = 60000:60000
attribute capable security.capability=
attribute marked user.tried=value
test "$(ls /var/lib/dpkg/info)" = only
test ! -e /usr/share/common-licenses
test -e /usr/share/moved/GPL-3
test "$(sha256sum </large)" = "$(head --bytes 768M /dev/zero | sha256sum)"
echo "$1"
CHECK
cat >Containerfile <<'FILE'
FROM debian
COPY --chmod=755 check /check
RUN mkdir /srv && useradd someone && install --owner someone --mode 4711 /etc/os-release /srv/f && ln /srv/f /srv/linked && mkfifo /srv/pipe && install --owner 60000 --group 60000 /etc/os-release /srv/far
RUN cp --archive /usr/bin/newuidmap /srv/capable
RUN mkdir /tried && touch /tried/marked && tar --create --directory /tried --pax-option=SCHILY.xattr.user.tried:=value marked | tar --extract --directory /srv --xattrs --xattrs-include='*'
RUN rm --recursive /var/lib/dpkg/info && mkdir /var/lib/dpkg/info && touch /var/lib/dpkg/info/only
RUN mv /usr/share/common-licenses /usr/share/moved
RUN head --bytes 768M /dev/zero >/large
RUN /check "all of it is kept in a layer"
FILE
podman build --layers --tag IMAGE .
podman push --quiet --tls-verify=false --creds ci:registry-password IMAGE
podman rmi --all --force >/dev/null
printf 'FROM IMAGE\nRUN /check "all of it is kept in the registry"\n' >Containerfile
podman build --creds ci:registry-password --tls-verify=false .
"#;

fn check(image: &str, profile: &str) {
    let site = Site::shared();
    let name = format!("{ADDRESS}:5000/{profile}/{}:1", image.replace(':', "-"));
    let job = Job::new(image).script(&SCRIPT.replace("IMAGE", &name));
    let ended = job.run(&site.namespace(profile));
    ended.passes_with("\nall of it is kept in a layer\n");
    ended.passes_with("\nall of it is kept in the registry\n");
}

#[test]
fn root_keeps_owners_attributes_and_removals_in_large_layers() {
    check("podman-stable:trixie", "root");
}

#[test]
fn root_keeps_them_with_a_newer_podman() {
    check("podman-stable:sid", "root");
}

#[test]
fn rootless_keeps_owners_attributes_and_removals_in_large_layers() {
    check("podman-stable:trixie", "rootless");
}
