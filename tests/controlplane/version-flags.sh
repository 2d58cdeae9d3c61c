# shellcheck shell=bash
# Sets $version to that of Kubernetes in go.mod, and $version_flags to the linker's flags
# that let a program know it. One that does not know its version calls itself
# v0.0.0-master, and what parses versions fails. Sourced by the scripts that build
# Kubernetes' programs.
version=$(cd "$(dirname "${BASH_SOURCE[0]}")" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#v1.}
minor=${minor%%.*}
version_flags="-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor"
for variable in k8s.io/component-base/version.gitVersion k8s.io/client-go/pkg/version.gitVersion; do
  version_flags+=" -X $variable=$version"
done
