// A stand-in for the provider terraform-lxd/lxd 2.6.2, for the tests alone: that provider cannot be had from the package
// registries. It serves the part of lxd_instance that templates/tofu/lxd and its import use, with the same names,
// defaults, checks and rules of what is replaced, as read in the provider's published source (internal/instance,
// internal/common) and documentation: limits are a map of their own and refused in config; image, type, project and
// remote replace, all else changes in place; a create waits for an IPv4 address; an import knows a name, and an image
// where the id says one. It speaks to LXD through the `lxc` client. Never shipped, and never a proof of the real one:
// DEPLOYER_TEST_PROVIDERS names a mirror of that.
package main

import (
	"context"
	"log"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
)

type lxd struct{}

func (lxd) Metadata(_ context.Context, _ provider.MetadataRequest, response *provider.MetadataResponse) {
	response.TypeName, response.Version = "lxd", "2.6.2"
}

func (lxd) Schema(context.Context, provider.SchemaRequest, *provider.SchemaResponse) {}

func (lxd) Configure(context.Context, provider.ConfigureRequest, *provider.ConfigureResponse) {}

func (lxd) DataSources(context.Context) []func() datasource.DataSource { return nil }

func (lxd) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{func() resource.Resource { return instance{} }}
}

func main() {
	make := func() provider.Provider { return lxd{} }
	options := providerserver.ServeOpts{Address: "registry.opentofu.org/terraform-lxd/lxd"}
	if err := providerserver.Serve(context.Background(), make, options); err != nil {
		log.Fatal(err)
	}
}
