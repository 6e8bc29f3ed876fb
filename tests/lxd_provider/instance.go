package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

func (m model) server() server { return server{m.Remote.ValueString(), m.Project.ValueString()} }

// wanted is what LXD is told: settings with their limits, devices, profiles.
func (m model) wanted(ctx context.Context) (map[string]any, diag.Diagnostics) {
	var config, limits map[string]string
	var devices []device
	var profiles []string
	told := m.Config.ElementsAs(ctx, &config, false)
	told.Append(m.Limits.ElementsAs(ctx, &limits, false)...)
	told.Append(m.Devices.ElementsAs(ctx, &devices, false)...)
	told.Append(m.Profiles.ElementsAs(ctx, &profiles, false)...)
	if config == nil {
		config = map[string]string{}
	}
	for key, value := range limits {
		config["limits."+key] = value
	}
	all := map[string]map[string]string{}
	for _, one := range devices {
		all[one.Name.ValueString()] = one.Properties
		one.Properties["type"] = one.Type.ValueString()
	}
	return map[string]any{"config": config, "devices": all, "profiles": profiles}, told
}

func (instance) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	var plan model
	response.Diagnostics.Append(request.Plan.Get(ctx, &plan)...)
	body, told := plan.wanted(ctx)
	response.Diagnostics.Append(told...)
	if response.Diagnostics.HasError() {
		return
	}
	lxd, name := plan.server(), plan.Name.ValueString()
	body["name"], body["type"], body["source"] = name, plan.Type.ValueString(), lxd.source(plan.Image.ValueString())
	if err := lxd.ask("POST", "instances", body, nil); err != nil {
		response.Diagnostics.AddError(fmt.Sprintf("Failed to create instance %q", name), err.Error())
		return
	}
	// From here on a failure leaves an instance that OpenTofu knows of.
	for attribute, value := range map[string]string{"name": name, "project": lxd.project, "remote": lxd.remote} {
		response.Diagnostics.Append(response.State.SetAttribute(ctx, path.Root(attribute), value)...)
	}
	if plan.Running.ValueBool() {
		if err := begin(lxd, name, plan.WaitForNetwork.ValueBool()); err != nil {
			response.Diagnostics.AddError(fmt.Sprintf("Failed to start instance %q", name), err.Error())
			return
		}
	}
	response.Diagnostics.Append(sync(ctx, &response.State, plan)...)
}

func (instance) Read(ctx context.Context, request resource.ReadRequest, response *resource.ReadResponse) {
	var state model
	response.Diagnostics.Append(request.State.Get(ctx, &state)...)
	if !response.Diagnostics.HasError() {
		response.Diagnostics.Append(sync(ctx, &response.State, state)...)
	}
}

func (instance) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	var plan, state model
	response.Diagnostics.Append(request.Plan.Get(ctx, &plan)...)
	response.Diagnostics.Append(request.State.Get(ctx, &state)...)
	body, told := plan.wanted(ctx)
	response.Diagnostics.Append(told...)
	if response.Diagnostics.HasError() {
		return
	}
	lxd, name := plan.server(), plan.Name.ValueString()
	if err := change(lxd, name, plan, body); err != nil {
		response.Diagnostics.AddError(fmt.Sprintf("Failed to update instance %q", name), err.Error())
		return
	}
	response.Diagnostics.Append(sync(ctx, &response.State, plan)...)
}

func change(lxd server, name string, plan model, body map[string]any) error {
	one, now, err := lxd.find(name)
	if err != nil {
		return err
	}
	if up := now.Status == "Running"; plan.Running.ValueBool() && !up {
		err = begin(lxd, name, plan.WaitForNetwork.ValueBool())
	} else if !plan.Running.ValueBool() && up {
		err = lxd.turn(name, "stop")
	}
	if err != nil {
		return err
	}
	// Starting it has written more of what LXD keeps for itself.
	if one, _, err = lxd.find(name); err != nil {
		return err
	}
	config := body["config"].(map[string]string)
	for key, value := range one.Config {
		if isOwn(key) {
			config[key] = value
		}
	}
	body["architecture"] = one.Architecture
	return lxd.ask("PUT", "instances/"+name, body, nil)
}

func (instance) Delete(ctx context.Context, request resource.DeleteRequest, response *resource.DeleteResponse) {
	var state model
	response.Diagnostics.Append(request.State.Get(ctx, &state)...)
	if response.Diagnostics.HasError() {
		return
	}
	lxd, name := state.server(), state.Name.ValueString()
	_, now, err := lxd.find(name)
	if err == nil && now.Status != "Stopped" {
		err = lxd.turn(name, "stop")
	}
	if err == nil {
		err = lxd.ask("DELETE", "instances/"+name, nil, nil)
	}
	if err != nil && !errors.Is(err, errNotFound) {
		response.Diagnostics.AddError(fmt.Sprintf("Failed to remove instance %q", name), err.Error())
	}
}

// [remote:][project/]name[,image=…]
func (instance) ImportState(ctx context.Context, request resource.ImportStateRequest, response *resource.ImportStateResponse) {
	id, options, _ := strings.Cut(request.ID, ",")
	set := func(attribute, value string) {
		if value != "" {
			response.Diagnostics.Append(response.State.SetAttribute(ctx, path.Root(attribute), value)...)
		}
	}
	if remote, rest, ok := strings.Cut(id, ":"); ok {
		set("remote", remote)
		id = rest
	}
	if project, rest, ok := strings.Cut(id, "/"); ok {
		set("project", project)
		id = rest
	}
	set("name", id)
	image, ok := strings.CutPrefix(options, "image=")
	if id == "" || options != "" && (!ok || strings.ContainsAny(image, ",=")) {
		response.Diagnostics.AddError(fmt.Sprintf("Invalid import ID: %q", request.ID), "[remote:][project/]name[,image=…]")
	}
	set("image", image)
}

// begin starts an instance and waits until it runs and, where that is wanted, has an IPv4 address.
func begin(lxd server, name string, addressed bool) error {
	if err := lxd.turn(name, "start"); err != nil {
		return err
	}
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(time.Second) {
		_, now, err := lxd.find(name)
		if err != nil {
			return err
		}
		there := !addressed
		for device, one := range now.Network {
			has := func(a address) bool { return a.Family == "inet" }
			there = there || device != "lo" && slices.ContainsFunc(one.Addresses, has)
		}
		if there && now.Status == "Running" && now.Processes > 0 {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("it does not run, or gets no IP address")
		}
	}
}

// isOwn: what LXD itself writes into an instance's settings.
func isOwn(key string) bool {
	return strings.HasPrefix(key, "volatile.") || strings.HasPrefix(key, "image.")
}

// sync writes what LXD has into the state; what it does not have is taken out of it.
func sync(ctx context.Context, state *tfsdk.State, m model) diag.Diagnostics {
	var told diag.Diagnostics
	one, now, err := m.server().find(m.Name.ValueString())
	if errors.Is(err, errNotFound) {
		state.RemoveResource(ctx)
		return nil
	} else if err != nil {
		told.AddError(fmt.Sprintf("Failed to retrieve instance %q", m.Name.ValueString()), err.Error())
		return told
	}
	config, limits := map[string]string{}, map[string]string{}
	for key, value := range one.Config {
		if limit, ok := strings.CutPrefix(key, "limits."); ok {
			limits[limit] = value
		} else if !isOwn(key) {
			config[key] = value
		}
	}
	var devices []device
	for name, properties := range one.Devices {
		kind := properties["type"]
		delete(properties, "type")
		devices = append(devices, device{types.StringValue(name), types.StringValue(kind), properties})
	}
	m.Type, m.Status = types.StringValue(one.Type), types.StringValue(one.Status)
	m.Running = types.BoolValue(now.Status == "Running")
	if m.WaitForNetwork.IsNull() {
		m.WaitForNetwork = types.BoolValue(true)
	}
	if m.AllowRestart.IsNull() {
		m.AllowRestart = types.BoolValue(false)
	}
	m.IPv4, m.IPv6, m.MAC = types.StringNull(), types.StringNull(), types.StringNull()
	access, chosen := one.ExpandedConfig["user.access_interface"]
	for _, name := range slices.Sorted(maps.Keys(now.Network)) {
		if name == "lo" || chosen && name != access {
			continue
		}
		for _, one := range slices.Backward(now.Network[name].Addresses) {
			if one.Scope == "global" && one.Family == "inet" {
				m.IPv4 = types.StringValue(one.Address)
			} else if one.Scope == "global" {
				m.IPv6 = types.StringValue(one.Address)
			}
		}
		if !m.IPv4.IsNull() || !m.IPv6.IsNull() {
			m.MAC = types.StringValue(now.Network[name].Hwaddr)
			break
		}
	}
	var more diag.Diagnostics
	keep := func(d diag.Diagnostics) { more.Append(d...) }
	var d diag.Diagnostics
	m.Config, d = types.MapValueFrom(ctx, text, config)
	keep(d)
	m.Limits, d = types.MapValueFrom(ctx, text, limits)
	keep(d)
	m.Profiles, d = types.ListValueFrom(ctx, text, one.Profiles)
	keep(d)
	m.Devices, d = types.SetValueFrom(ctx, deviceType, devices)
	keep(d)
	m.Interfaces, d = interfaces(ctx, now.Network, one.Config)
	keep(d)
	keep(state.Set(ctx, &m))
	return more
}

// interfaces are those that LXD made, under the names of their devices.
func interfaces(ctx context.Context, all map[string]network, config map[string]string) (types.Map, diag.Diagnostics) {
	type ip struct {
		Address string `tfsdk:"address"`
		Family  string `tfsdk:"family"`
		Scope   string `tfsdk:"scope"`
	}
	type entry struct {
		Name  string `tfsdk:"name"`
		State string `tfsdk:"state"`
		Type  string `tfsdk:"type"`
		IPs   []ip   `tfsdk:"ips"`
	}
	if len(all) == 0 {
		return types.MapNull(interfaceType), nil
	}
	entries := map[string]entry{}
	for key, hwaddr := range config {
		parts := strings.Split(key, ".")
		for name, one := range all {
			if len(parts) == 3 && parts[0] == "volatile" && parts[2] == "hwaddr" && one.Hwaddr == hwaddr {
				ips := []ip{}
				for _, a := range one.Addresses {
					ips = append(ips, ip(a))
				}
				entries[parts[1]] = entry{name, one.State, one.Type, ips}
			}
		}
	}
	return types.MapValueFrom(ctx, interfaceType, entries)
}
