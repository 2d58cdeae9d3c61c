// The custom resources that the chart can render, for the API server of the
// tests to know: no code, only the files in these modules, in cert-manager's
// deploy/crds and in prometheus-operator's example/prometheus-operator-crd.
// With no code here, `go mod tidy` would empty this; a new version is
// `go get MODULE@VERSION` and then `go mod download`. OpenShift's is in
// securitycontextconstraints.yaml, since no release of its module has it.
module podseal.io/tests/crds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
