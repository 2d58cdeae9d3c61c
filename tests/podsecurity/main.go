// Podsecurity answers for the reference implementation of the Pod Security
// Standards, so that podseal's own can be held against it.
//
// It reads pods as JSON, one a line, and writes the IDs of the checks that
// fail at either level. With -fixtures it writes the reference's own fixtures.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apijson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// version is the policy version podseal implements.
var version = api.MajorMinorVersion(1, 37)

func main() {
	log.SetFlags(0)
	fixtures := flag.String("fixtures", "", "write the fixtures in the module at `DIR`")
	flag.Parse()
	out := bufio.NewWriter(os.Stdout)
	var err error
	if *fixtures == "" {
		err = evaluate(json.NewEncoder(out), bufio.NewScanner(os.Stdin))
	} else {
		err = writeFixtures(json.NewEncoder(out), *fixtures)
	}
	if err := errors.Join(err, out.Flush()); err != nil {
		log.Fatal(err)
	}
}

// recorded returns the reference's checks, each noting its ID in failed when
// it forbids a pod. The evaluator itself tells no IDs, and asking the checks
// without it would leave versions and overrides to us.
func recorded(failed *[]policy.CheckID) []policy.Check {
	checks := policy.DefaultChecks()
	for _, check := range checks {
		for i, versioned := range check.Versions {
			check.Versions[i].CheckPod = func(m *metav1.ObjectMeta, s *corev1.PodSpec) policy.CheckResult {
				result := versioned.CheckPod(m, s)
				if !result.Allowed {
					*failed = append(*failed, check.ID)
				}
				return result
			}
		}
	}
	return checks
}

func evaluate(out *json.Encoder, lines *bufio.Scanner) error {
	var failed []policy.CheckID
	evaluator, err := policy.NewEvaluator(recorded(&failed), nil)
	if err != nil {
		return err
	}
	lines.Buffer(nil, 4<<20)
	for line := 1; lines.Scan(); line++ {
		var pod corev1.Pod
		// The API server's own decoder: encoding/json would ignore case.
		if err := apijson.Unmarshal(lines.Bytes(), &pod); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		verdict := map[api.Level][]policy.CheckID{}
		for _, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
			failed = []policy.CheckID{}
			at := api.LevelVersion{Level: level, Version: version}
			evaluator.EvaluatePod(at, &pod.ObjectMeta, &pod.Spec)
			verdict[level] = failed
		}
		if err := out.Encode(verdict); err != nil {
			return err
		}
	}
	return lines.Err()
}

func writeFixtures(out *json.Encoder, module string) error {
	root := filepath.Join(module, "test", "testdata")
	files, err := filepath.Glob(filepath.Join(root, "*", version.String(), "*", "*.yaml"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no fixtures for %s in %s", version, root)
	}
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		pod, err := yaml.YAMLToJSON(text)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		name, _ := filepath.Rel(root, file)
		verdict := filepath.Dir(name)
		level, valid := filepath.Dir(filepath.Dir(verdict)), filepath.Base(verdict) == "pass"
		fixture := map[string]any{"name": name, "level": level, "valid": valid, "pod": json.RawMessage(pod)}
		if err := out.Encode(fixture); err != nil {
			return err
		}
	}
	return nil
}
