package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/mapdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// What OpenTofu knows of an instance.
type model struct {
	Name           types.String `tfsdk:"name"`
	Type           types.String `tfsdk:"type"`
	Image          types.String `tfsdk:"image"`
	Running        types.Bool   `tfsdk:"running"`
	AllowRestart   types.Bool   `tfsdk:"allow_restart"`
	WaitForNetwork types.Bool   `tfsdk:"wait_for_network"`
	Profiles       types.List   `tfsdk:"profiles"`
	Devices        types.Set    `tfsdk:"device"`
	Limits         types.Map    `tfsdk:"limits"`
	Config         types.Map    `tfsdk:"config"`
	Project        types.String `tfsdk:"project"`
	Remote         types.String `tfsdk:"remote"`
	IPv4           types.String `tfsdk:"ipv4_address"`
	IPv6           types.String `tfsdk:"ipv6_address"`
	MAC            types.String `tfsdk:"mac_address"`
	Status         types.String `tfsdk:"status"`
	Interfaces     types.Map    `tfsdk:"interfaces"`
}

type device struct {
	Name       types.String      `tfsdk:"name"`
	Type       types.String      `tfsdk:"type"`
	Properties map[string]string `tfsdk:"properties"`
}

var (
	text       = types.StringType
	deviceType = types.ObjectType{AttrTypes: map[string]attr.Type{
		"name": text, "type": text, "properties": types.MapType{ElemType: text},
	}}
	ipType        = types.ObjectType{AttrTypes: map[string]attr.Type{"address": text, "family": text, "scope": text}}
	interfaceType = types.ObjectType{AttrTypes: map[string]attr.Type{
		"name": text, "state": text, "type": text, "ips": types.ListType{ElemType: ipType},
	}}
)

type instance struct{}

func (instance) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = "lxd_instance"
}

func (instance) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	anew := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	empty := mapdefault.StaticValue(types.MapValueMust(text, map[string]attr.Value{}))
	texts := schema.MapAttribute{Optional: true, Computed: true, ElementType: text, Default: empty}
	said := schema.StringAttribute{Computed: true}
	flag := func(value bool) schema.BoolAttribute {
		return schema.BoolAttribute{Optional: true, Computed: true, Default: booldefault.StaticBool(value)}
	}
	response.Schema = schema.Schema{
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{Required: true},
			"type": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString("container"), PlanModifiers: anew,
			},
			"image":            schema.StringAttribute{Optional: true, PlanModifiers: anew},
			"project":          schema.StringAttribute{Optional: true, PlanModifiers: anew},
			"remote":           schema.StringAttribute{Optional: true, PlanModifiers: anew},
			"running":          flag(true),
			"wait_for_network": flag(true),
			"allow_restart":    flag(false),
			"profiles":         schema.ListAttribute{Optional: true, Computed: true, ElementType: text},
			"limits":           texts,
			"config":           texts,
			"ipv4_address":     said,
			"ipv6_address":     said,
			"mac_address":      said,
			"status":           said,
			"interfaces":       schema.MapAttribute{Computed: true, ElementType: interfaceType},
		},
		Blocks: map[string]schema.Block{
			"device": schema.SetNestedBlock{NestedObject: schema.NestedBlockObject{
				Attributes: map[string]schema.Attribute{
					"name":       schema.StringAttribute{Required: true},
					"type":       schema.StringAttribute{Required: true},
					"properties": schema.MapAttribute{Required: true, ElementType: text},
				},
			}},
		},
	}
}

func (instance) ValidateConfig(ctx context.Context, request resource.ValidateConfigRequest, response *resource.ValidateConfigResponse) {
	var given model
	response.Diagnostics.Append(request.Config.Get(ctx, &given)...)
	if response.Diagnostics.HasError() {
		return
	}
	refuse := func(at, why string) { response.Diagnostics.AddAttributeError(path.Root(at), "Invalid "+at, why) }
	for key := range given.Config.Elements() {
		if strings.HasPrefix(key, "limits.") {
			refuse("config", `Config keys with "limits." prefix must be provided in "limits" map instead.`)
		}
		if strings.HasPrefix(key, "volatile.") || strings.HasPrefix(key, "image.") {
			refuse("config", fmt.Sprintf(`Config key cannot have "volatile." or "image." prefix. Got: %q.`, key))
		}
	}
	for key, value := range given.Limits.Elements() {
		if key == "" || value.Equal(types.StringValue("")) {
			refuse("limits", "A limit has a key and a value.")
		}
	}
	if kind := given.Type; !kind.IsNull() && !kind.IsUnknown() && kind.ValueString() != "container" && kind.ValueString() != "virtual-machine" {
		refuse("type", "It is container or virtual-machine.")
	}
	if given.Image.IsNull() && given.Type.ValueString() == "container" {
		refuse("image", "A container requires an image.")
	}
}

func (instance) ModifyPlan(ctx context.Context, request resource.ModifyPlanRequest, response *resource.ModifyPlanResponse) {
	if request.Config.Raw.IsNull() {
		return
	}
	var profiles types.List
	response.Diagnostics.Append(request.Config.GetAttribute(ctx, path.Root("profiles"), &profiles)...)
	if profiles.IsNull() {
		response.Diagnostics.Append(response.Plan.SetAttribute(ctx, path.Root("profiles"), []string{"default"})...)
	}
}
