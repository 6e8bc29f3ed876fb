package main

import (
	"encoding/json"
	"errors"
	"net/url"
	"os/exec"
	"strings"
)

// One LXD server and project; empty: the client's own.
type server struct{ remote, project string }

var errNotFound = errors.New("not found")

// What LXD says of an instance.
type found struct {
	Name           string                       `json:"name"`
	Type           string                       `json:"type"`
	Status         string                       `json:"status"`
	Architecture   string                       `json:"architecture"`
	Config         map[string]string            `json:"config"`
	ExpandedConfig map[string]string            `json:"expanded_config"`
	Devices        map[string]map[string]string `json:"devices"`
	Profiles       []string                     `json:"profiles"`
}

// What LXD says of it as it runs.
type running struct {
	Status    string             `json:"status"`
	Processes int64              `json:"processes"`
	Network   map[string]network `json:"network"`
}

type network struct {
	Addresses []address `json:"addresses"`
	Hwaddr    string    `json:"hwaddr"`
	State     string    `json:"state"`
	Type      string    `json:"type"`
}

type address struct {
	Address string `json:"address"`
	Family  string `json:"family"`
	Scope   string `json:"scope"`
}

// ask calls the API, waits for what it began, and reads the answer into out.
func (s server) ask(method, path string, body, out any) error {
	location := "/1.0/" + path
	if s.project != "" {
		location += "?project=" + url.QueryEscape(s.project)
	}
	if s.remote != "" {
		location = s.remote + ":" + location
	}
	arguments := []string{"query", "--wait", "--request", method}
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		arguments = append(arguments, "--data", string(data))
	}
	var trouble strings.Builder
	command := exec.Command("lxc", append(arguments, location)...)
	command.Stderr = &trouble
	output, err := command.Output()
	if err != nil {
		if said := strings.TrimSpace(trouble.String()); strings.HasSuffix(strings.ToLower(said), "not found") {
			return errNotFound
		} else if said != "" {
			return errors.New(said)
		}
		return err
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(output, out)
}

func (s server) find(name string) (found, running, error) {
	var one found
	var now running
	err := s.ask("GET", "instances/"+name, nil, &one)
	if err == nil {
		err = s.ask("GET", "instances/"+name+"/state", nil, &now)
	}
	return one, now, err
}

// source names an image by its alias or its fingerprint.
func (s server) source(image string) map[string]string {
	var alias struct {
		Target string `json:"target"`
	}
	if s.ask("GET", "images/aliases/"+url.PathEscape(image), nil, &alias) == nil {
		image = alias.Target
	}
	return map[string]string{"type": "image", "fingerprint": image}
}

// turn starts or stops an instance.
func (s server) turn(name, action string) error {
	return s.ask("PUT", "instances/"+name+"/state", map[string]any{"action": action, "force": action == "stop"}, nil)
}
