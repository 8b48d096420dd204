//! A store on an emulator, archives of numbered trips, and the raw items of its tables.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use divvy::model::{Flags, Rider, Trip, TripId};
use divvy::refresh;
use divvy::store::{LedgerEntry, Store};
use divvy_aws::tables::{Capacity, Layout};
use divvy_aws::{DynamoStore, OpenOptions};
use divvy_testkit::cases::{self, Row, minute};
use throttling_dynamodb::{Emulator, Options};

pub const LAYOUTS: [Layout; 2] = [Layout::Rows, Layout::Packed];

pub type Item = HashMap<String, AttributeValue>;

pub async fn open(local: &Emulator, layout: Layout) -> DynamoStore {
    DynamoStore::open(options(local, layout)).await.unwrap()
}

pub fn options(local: &Emulator, layout: Layout) -> OpenOptions {
    OpenOptions {
        http_client: Some(local.http_client()),
        layout: Some(layout),
        capacity: Capacity::OnDemand,
        ..OpenOptions::default()
    }
}

pub fn emulator() -> Emulator {
    let local = Emulator::open(Options {
        scratch: true,
        ..Options::default()
    });
    local.unwrap()
}

/// Makes the trip with a number. Of two copies the one with the smaller precision is the better.
pub fn row(n: u64, precision_ms: i32) -> Row {
    let started_ms = 1_704_067_200_000 + 30_000 * n as i64;
    let trip = Trip {
        id: TripId::from(format!("T{n:05}")),
        started_ms,
        started_offset_s: -21_600,
        ended_ms: started_ms + 900_000,
        ended_offset_s: -21_600,
        precision_ms,
        reported_s: None,
        origin: Some(["35", "76", "517"][n as usize % 3].into()),
        destination: Some("76".into()),
        vehicle: None,
        bike: None,
        rider: Rider::Member,
        gender: None,
        birth_year: None,
        from: None,
        to: None,
        flags: Flags::NONE,
    };
    Row { trip, name: None }
}

pub fn archive(name: &str, rows: impl Iterator<Item = Row>) -> cases::Archive {
    cases::Archive {
        name: name.into(),
        members: vec![rows.collect()],
        unreadable: 0,
        batch: 4096,
        replace: false,
    }
}

pub async fn load(store: &dyn Store, archive: &cases::Archive) -> LedgerEntry {
    let incoming = store.begin(&archive.id()).await.unwrap();
    for (member, batch) in archive.batches() {
        incoming.write(member, batch).unwrap();
    }
    incoming.commit(archive.read(minute(0)), &()).await.unwrap()
}

pub async fn drain(store: &dyn Store) {
    let drained = refresh::drain(store, refresh::CONSUMER, minute(0)).await;
    assert_eq!(drained.unwrap().uncounted, []);
}

/// Reads all items of a table.
pub async fn items(client: &Client, table: &str) -> Vec<Item> {
    let mut pages = client
        .scan()
        .table_name(table)
        .into_paginator()
        .items()
        .send();
    let mut items = Vec::new();
    while let Some(item) = pages.next().await {
        items.push(item.unwrap());
    }
    items
}

pub async fn put(client: &Client, table: &str, item: Item) {
    let put = client.put_item().table_name(table).set_item(Some(item));
    put.send().await.unwrap();
}

pub async fn delete(client: &Client, table: &str, item: &Item) {
    let names: &[&str] = match table {
        "LoadLedger" => &["archive", "part"],
        "TripData" => &["trip_id"],
        "StationData" => &["station_id"],
        _ => &["from_station_id"],
    };
    let key = names
        .iter()
        .map(|name| ((*name).to_owned(), item[*name].clone()));
    let delete = client.delete_item().table_name(table);
    delete.set_key(Some(key.collect())).send().await.unwrap();
}

pub fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item[name].as_s().unwrap()
}
