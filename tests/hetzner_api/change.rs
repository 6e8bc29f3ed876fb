//! Requests that change the account: create, act, delete, by the rules of the real API. Does not check authorization.

use super::{Account, Answer, Refused, catalogue, one, refused};
use serde_json::{Value, json};

const BEGAN: &str = "2026-01-01T00:00:00Z";

/// Returns an action that has just begun.
fn begun(id: u64, command: &str, resource: (&str, u64)) -> Value {
    json!({ "id": id, "status": "running", "command": command, "progress": 0, "started": BEGAN, "finished": null,
        "error": null, "resources": [{ "type": resource.0, "id": resource.1 }] })
}

/// Returns the finished action: every later request sees it done.
pub fn finished(id: u64) -> Value {
    json!({ "id": id, "status": "success", "command": "done", "progress": 100, "started": BEGAN, "finished": BEGAN,
        "error": null, "resources": [] })
}

impl Account {
    pub(super) fn create(&mut self, collection: &str, body: &Value) -> Answer {
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(refused(422, "invalid_input", "invalid input in field 'name'"));
        }
        let taken = |object: &Value| {
            object["name"] == name.as_str() || (collection == "ssh_keys" && object["public_key"] == body["public_key"])
        };
        if self.collection(collection)?.values().any(taken) {
            return Err(refused(409, "uniqueness_error", format!("{} name is already used", one(collection))));
        }
        let id = self.id();
        let labels = body.get("labels").filter(|labels| labels.is_object()).cloned().unwrap_or_else(|| json!({}));
        let mut object = json!({ "id": id, "name": name, "labels": labels, "created": BEGAN });
        let mut answer = json!({});
        match collection {
            "servers" => {
                self.server(id, &mut object, body)?;
                answer["action"] = begun(self.id(), "create_server", ("server", id));
                answer["next_actions"] = json!([begun(self.id(), "start_server", ("server", id))]);
                answer["root_password"] = Value::Null;
            }
            "ssh_keys" => {
                object["public_key"] = body["public_key"].clone();
                object["fingerprint"] = json!(format!("aa:bb:{id:x}"));
            }
            "firewalls" => {
                object["rules"] = rules(&body["rules"]);
                object["applied_to"] = json!([]);
                answer["actions"] = json!([]);
            }
            "volumes" => {
                let place = [&body["location"], &json!("fsn1")]
                    .into_iter()
                    .find_map(|place| catalogue::find("locations", place));
                let server = body["server"].as_u64();
                object["size"] = body["size"].clone();
                object["format"] = body["format"].clone();
                object["server"] = json!(server);
                object["status"] = json!("available");
                object["location"] = match server.and_then(|server| self.objects.get("servers")?.get(&server)) {
                    Some(server) => server["datacenter"]["location"].clone(),
                    None => json!(place),
                };
                object["protection"] = json!({ "delete": false });
                object["linux_device"] = json!(format!("/dev/disk/by-id/scsi-0HC_Volume_{id}"));
                answer["action"] = begun(self.id(), "create_volume", ("volume", id));
                answer["next_actions"] = json!([]);
            }
            _ => {
                let kind = body["type"].as_str().unwrap_or("ipv4").to_owned();
                let place = catalogue::find("datacenters", &body["datacenter"]);
                let place = place.unwrap_or_else(|| catalogue::datacenter(1));
                let auto_delete = body["auto_delete"].as_bool().unwrap_or_default();
                self.primary_ip(id, &mut object, &kind, place, auto_delete);
            }
        }
        self.collection(collection)?.insert(id, object.clone());
        answer[one(collection)] = object;
        Ok((201, answer))
    }

    fn primary_ip(&mut self, id: u64, object: &mut Value, kind: &str, place: Value, auto_delete: bool) {
        let ip = if kind == "ipv4" { self.address() } else { format!("2001:db8:{id:x}::/64") };
        object["ip"] = json!(ip);
        object["type"] = json!(kind);
        object["datacenter"] = place;
        object["auto_delete"] = json!(auto_delete);
        object["assignee_type"] = json!("server");
        object["assignee_id"] = Value::Null;
        object["blocked"] = json!(false);
        object["dns_ptr"] = json!([]);
        object["protection"] = json!({ "delete": false });
    }

    /// Returns a server's primary address: the named one, or a new one that is deleted with the server.
    fn net(&mut self, server: u64, kind: &str, body: &Value, place: &Value) -> Result<Value, Refused> {
        let wanted = &body["public_net"];
        if wanted.get(format!("enable_{kind}")).is_some_and(|enabled| enabled == false) {
            return Ok(json!({ "id": 0, "ip": "", "blocked": false, "dns_ptr": [] }));
        }
        let id = if let Some(id) = wanted.get(kind).and_then(Value::as_u64) {
            id
        } else {
            let id = self.id();
            let mut object = json!({ "id": id, "name": format!("primary_ip-{id}"), "labels": {}, "created": BEGAN });
            self.primary_ip(id, &mut object, kind, place.clone(), true);
            self.collection("primary_ips")?.insert(id, object);
            id
        };
        let address = self.object("primary_ips", &id.to_string())?;
        address["assignee_id"] = json!(server);
        let pointer = if kind == "ipv4" { json!("") } else { json!([]) };
        Ok(json!({ "id": id, "ip": address["ip"], "blocked": false, "dns_ptr": pointer }))
    }

    fn server(&mut self, id: u64, object: &mut Value, body: &Value) -> Result<(), Refused> {
        let find = |collection, wanted: &Value| {
            catalogue::find(collection, wanted)
                .ok_or_else(|| refused(422, "invalid_input", format!("invalid input in {collection}")))
        };
        let place = match (&body["datacenter"], &body["location"]) {
            (Value::String(_), _) => find("datacenters", &body["datacenter"])?,
            (_, Value::String(_)) => {
                catalogue::datacenter(find("locations", &body["location"])?["id"].as_u64().unwrap_or(1))
            }
            _ => catalogue::datacenter(1),
        };
        for key in body["ssh_keys"].as_array().into_iter().flatten() {
            self.object("ssh_keys", &key.to_string())?;
        }
        let firewalls: Vec<u64> =
            body["firewalls"].as_array().into_iter().flatten().filter_map(|one| one["firewall"].as_u64()).collect();
        for firewall in &firewalls {
            self.apply_firewall(*firewall, id)?;
        }
        let applied: Vec<Value> = firewalls.iter().map(|id| json!({ "id": id, "status": "applied" })).collect();
        let ipv4 = self.net(id, "ipv4", body, &place)?;
        let ipv6 = self.net(id, "ipv6", body, &place)?;
        let server_type = find("server_types", &body["server_type"])?;
        object["status"] = json!("running");
        object["public_net"] = json!({ "ipv4": ipv4, "ipv6": ipv6, "floating_ips": [], "firewalls": applied });
        object["private_net"] = json!([]);
        object["primary_disk_size"] = server_type["disk"].clone();
        object["server_type"] = server_type;
        object["image"] = find("images", &body["image"])?;
        object["datacenter"] = place;
        object["protection"] = json!({ "delete": false, "rebuild": false });
        object["user_data"] = body["user_data"].clone();
        for (name, value) in [
            ("included_traffic", json!(0)),
            ("rescue_enabled", json!(false)),
            ("locked", json!(false)),
            ("backup_window", Value::Null),
            ("iso", Value::Null),
            ("volumes", json!([])),
            ("load_balancers", json!([])),
            ("placement_group", Value::Null),
            ("outgoing_traffic", json!(0)),
            ("ingoing_traffic", json!(0)),
        ] {
            object[name] = value;
        }
        Ok(())
    }

    fn apply_firewall(&mut self, firewall: u64, server: u64) -> Result<(), Refused> {
        let applied = &mut self.object("firewalls", &firewall.to_string())?["applied_to"];
        if let Some(applied) = applied.as_array_mut() {
            applied.push(json!({ "type": "server", "server": { "id": server } }));
        }
        Ok(())
    }

    pub(super) fn act(&mut self, collection: &str, id: &str, action: &str, body: &Value) -> Answer {
        let resource = (one(collection), id.parse().unwrap_or_default());
        let number = self.id();
        let object = self.object(collection, id)?;
        match (collection, action) {
            ("servers", "poweroff" | "shutdown") => object["status"] = json!("off"),
            ("servers", "poweron" | "reboot" | "reset") => object["status"] = json!("running"),
            ("servers", "change_type") => {
                if object["status"] != "off" {
                    return Err(refused(422, "server_not_stopped", "server must be stopped"));
                }
                let wanted = catalogue::find("server_types", &body["server_type"]);
                object["server_type"] = wanted.ok_or_else(|| refused(422, "invalid_input", "no such server type"))?;
                if body["upgrade_disk"] == true {
                    object["primary_disk_size"] = object["server_type"]["disk"].clone();
                }
                object["status"] = json!("running");
            }
            (_, "change_protection") => {
                for name in ["delete", "rebuild"] {
                    if let Some(value) = body.get(name) {
                        object["protection"][name] = value.clone();
                    }
                }
            }
            ("volumes", "attach") => object["server"] = body["server"].clone(),
            ("volumes", "detach") => object["server"] = Value::Null,
            ("volumes", "resize") => object["size"] = body["size"].clone(),
            ("primary_ips", "assign") => object["assignee_id"] = body["assignee_id"].clone(),
            ("primary_ips", "unassign") => object["assignee_id"] = Value::Null,
            ("firewalls", "set_rules") => object["rules"] = rules(&body["rules"]),
            ("firewalls", "apply_to_resources" | "remove_from_resources") => {
                self.firewall_on(resource.1, body, action == "apply_to_resources")?;
            }
            _ => return Err(refused(404, "not_found", format!("no action {action} for {collection}"))),
        }
        let action = begun(number, action, resource);
        let answer =
            if collection == "firewalls" { json!({ "actions": [action] }) } else { json!({ "action": action }) };
        Ok((201, answer))
    }

    fn firewall_on(&mut self, firewall: u64, body: &Value, applied: bool) -> Result<(), Refused> {
        let list = &body[if applied { "apply_to" } else { "remove_from" }];
        for server in list.as_array().into_iter().flatten().filter_map(|one| one["server"]["id"].as_u64()) {
            let on = self.object("servers", &server.to_string())?;
            if let Some(on) = on["public_net"]["firewalls"].as_array_mut() {
                on.retain(|one| one["id"] != firewall);
                if applied {
                    on.push(json!({ "id": firewall, "status": "applied" }));
                }
            }
            self.lift_firewall(firewall, server);
            if applied {
                self.apply_firewall(firewall, server)?;
            }
        }
        Ok(())
    }

    fn lift_firewall(&mut self, firewall: u64, server: u64) {
        let found = self.objects.get_mut("firewalls").and_then(|all| all.get_mut(&firewall));
        if let Some(applied) = found.and_then(|found| found["applied_to"].as_array_mut()) {
            applied.retain(|one| one["server"]["id"] != server);
        }
    }

    pub(super) fn delete(&mut self, collection: &str, id: &str) -> Answer {
        let object = self.object(collection, id)?.clone();
        let number = object["id"].as_u64().unwrap_or_default();
        if object["protection"]["delete"] == true {
            return Err(refused(423, "protected", format!("{} deletion is protected", one(collection))));
        }
        let attached = |value: &Value| value.is_u64();
        let in_use = match collection {
            "firewalls" => object["applied_to"].as_array().is_some_and(|applied| !applied.is_empty()),
            "volumes" => attached(&object["server"]),
            "primary_ips" => attached(&object["assignee_id"]),
            _ => false,
        };
        if in_use {
            return Err(refused(409, "resource_in_use", format!("{} with ID '{id}' is still in use", one(collection))));
        }
        self.collection(collection)?.remove(&number);
        if collection != "servers" {
            return Ok((204, Value::Null));
        }
        for firewall in object["public_net"]["firewalls"].as_array().into_iter().flatten() {
            self.lift_firewall(firewall["id"].as_u64().unwrap_or_default(), number);
        }
        for volume in self.collection("volumes")?.values_mut().filter(|volume| volume["server"] == number) {
            volume["server"] = Value::Null;
        }
        let addresses = self.collection("primary_ips")?;
        addresses.retain(|_, address| address["assignee_id"] != number || address["auto_delete"] != true);
        for address in addresses.values_mut().filter(|address| address["assignee_id"] == number) {
            address["assignee_id"] = Value::Null;
        }
        Ok((200, json!({ "action": begun(self.id(), "delete_server", ("server", number)) })))
    }
}

/// Returns rules in the API's format, with every field.
fn rules(wanted: &Value) -> Value {
    let shown = |rule: &Value| {
        let list = |name: &str| rule.get(name).cloned().unwrap_or_else(|| json!([]));
        json!({ "direction": rule["direction"], "protocol": rule["protocol"], "port": rule["port"],
            "description": rule["description"], "source_ips": list("source_ips"),
            "destination_ips": list("destination_ips") })
    };
    wanted.as_array().into_iter().flatten().map(shown).collect()
}
