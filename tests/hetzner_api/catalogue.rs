//! The server types, images and places that can be ordered. The catalogue is constant.

use serde_json::{Value, json};

const LOCATIONS: [(u64, &str, &str); 3] = [(1, "fsn1", "DE"), (2, "nbg1", "DE"), (3, "hel1", "FI")];
const TYPES: [(u64, &str, u64, u64, u64); 3] =
    [(22, "cx22", 2, 4, 40), (32, "cx32", 4, 8, 80), (42, "cx42", 8, 16, 160)];
const IMAGES: [(u64, &str, &str); 3] =
    [(12, "debian-12", "debian"), (13, "debian-13", "debian"), (24, "ubuntu-24.04", "ubuntu")];

/// Returns all objects of a collection, if it is in the catalogue.
pub fn all(collection: &str) -> Option<Vec<Value>> {
    Some(match collection {
        "locations" => LOCATIONS.iter().map(|(id, ..)| location(*id)).collect(),
        "datacenters" => LOCATIONS.iter().map(|(id, ..)| datacenter(*id)).collect(),
        "server_types" => TYPES.iter().map(|(id, ..)| server_type(*id)).collect(),
        "images" => IMAGES.iter().map(|(id, ..)| image(*id)).collect(),
        _ => return None,
    })
}

/// Returns an object of a collection, by name or id.
pub fn find(collection: &str, wanted: &Value) -> Option<Value> {
    let number = wanted.as_u64().or_else(|| wanted.as_str()?.parse().ok());
    all(collection)?
        .into_iter()
        .find(|object| object["name"] == *wanted || number.is_some_and(|number| object["id"] == number))
}

fn location(id: u64) -> Value {
    let (_, name, country) = LOCATIONS[usize::try_from(id - 1).unwrap()];
    json!({ "id": id, "name": name, "description": name, "country": country, "city": name, "latitude": 50.0,
        "longitude": 11.0, "network_zone": "eu-central" })
}

/// Returns the only datacenter of a location.
pub fn datacenter(id: u64) -> Value {
    let types: Vec<u64> = TYPES.iter().map(|(id, ..)| *id).collect();
    let location = location(id);
    json!({ "id": id, "name": format!("{}-dc{id}", location["name"].as_str().unwrap()), "description": "",
        "location": location,
        "server_types": { "supported": types, "available": types, "available_for_migration": types } })
}

fn server_type(id: u64) -> Value {
    let (_, name, cores, memory, disk) = TYPES.into_iter().find(|found| found.0 == id).unwrap();
    let locations: Vec<Value> =
        LOCATIONS.iter().map(|(id, name, _)| json!({ "id": id, "name": name, "deprecation": null })).collect();
    json!({ "id": id, "name": name, "description": name, "category": "Shared vCPU", "cores": cores, "memory": memory,
        "disk": disk, "storage_type": "local", "cpu_type": "shared", "architecture": "x86", "included_traffic": 0,
        "prices": [], "deprecated": false, "deprecation": null, "locations": locations })
}

fn image(id: u64) -> Value {
    let (_, name, flavor) = IMAGES.into_iter().find(|found| found.0 == id).unwrap();
    json!({ "id": id, "status": "available", "type": "system", "name": name, "description": name, "image_size": null,
        "disk_size": 5, "created": "2025-01-01T00:00:00Z", "created_from": null, "bound_to": null,
        "os_flavor": flavor, "os_version": "1", "architecture": "x86", "rapid_deploy": true,
        "protection": { "delete": false }, "deprecated": null, "deleted": null, "labels": {} })
}
