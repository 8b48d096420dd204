//! The emulator through the SDK of DynamoDB.
#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::QueryError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, KeysAndAttributes, OnDemandThroughput, Projection, ProjectionType,
    ProvisionedThroughput, Put, PutRequest, ReturnConsumedCapacity, ScalarAttributeType, Select,
    StreamSpecification, StreamViewType, ThrottlingReason, TransactWriteItem, WarmThroughput,
    WriteRequest,
};
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use throttling_dynamodb::{Burst, Emulator, Faults, Options, Units};
use tokio::time::Instant;

const TABLE: &str = "Orders";
const INDEX: &str = "customer_id-index";

fn open(options: Options) -> Emulator {
    let emulator = Emulator::open(options).unwrap();
    assert_eq!(emulator.unpatched_column(), None);
    emulator
}

/// Opens an emulator whose tables have all of their burst capacity.
fn with_full_burst() -> Emulator {
    open(Options {
        burst: Burst::Full,
        ..Options::default()
    })
}

/// A configuration without retries.
fn config(emulator: &Emulator) -> aws_sdk_dynamodb::config::Builder {
    aws_sdk_dynamodb::config::Builder::from(&emulator.sdk_config())
        .retry_config(RetryConfig::disabled())
}

fn client(emulator: &Emulator) -> Client {
    Client::from_conf(config(emulator).build())
}

/// Capacity of so many RCU and WCU a second.
fn throughput(read: i64, write: i64) -> ProvisionedThroughput {
    let throughput = ProvisionedThroughput::builder()
        .read_capacity_units(read)
        .write_capacity_units(write);
    throughput.build().unwrap()
}

fn key(name: &str) -> KeySchemaElement {
    let key = KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(KeyType::Hash);
    key.build().unwrap()
}

fn text(name: &str) -> AttributeDefinition {
    let attribute = AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S);
    attribute.build().unwrap()
}

/// Creates the table of orders with RCU and WCU of the table and of its index. `None`: no index.
async fn create_table(client: &Client, table: (i64, i64), index: Option<(i64, i64)>) {
    let mut request = client
        .create_table()
        .table_name(TABLE)
        .key_schema(key("order_id"))
        .attribute_definitions(text("order_id"))
        .billing_mode(BillingMode::Provisioned)
        .provisioned_throughput(throughput(table.0, table.1));
    if let Some((read, write)) = index {
        let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly);
        let index = GlobalSecondaryIndex::builder()
            .index_name(INDEX)
            .key_schema(key("customer_id"))
            .projection(keys_only.build())
            .provisioned_throughput(throughput(read, write));
        request = request
            .attribute_definitions(text("customer_id"))
            .global_secondary_indexes(index.build().unwrap());
    }
    request.send().await.unwrap();
}

type Item = HashMap<String, AttributeValue>;

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn order(id: u64) -> Item {
    Item::from([
        ("order_id".to_owned(), s(id.to_string())),
        ("customer_id".to_owned(), s((id % 7).to_string())),
        ("status".to_owned(), s("open")),
    ])
}

fn with_note(mut order: Item, size: usize) -> Item {
    order.insert("note".to_owned(), s("x".repeat(size)));
    order
}

fn puts(items: impl IntoIterator<Item = Item>) -> Vec<WriteRequest> {
    let put = |item| {
        let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
        WriteRequest::builder().put_request(put).build()
    };
    items.into_iter().map(put).collect()
}

/// Sends a batch. Returns the unprocessed writes.
async fn send(
    client: &Client,
    batch: Vec<WriteRequest>,
) -> Result<Vec<WriteRequest>, SdkError<BatchWriteItemError>> {
    let request = client.batch_write_item().request_items(TABLE, batch);
    let mut unprocessed = request.send().await?.unprocessed_items.unwrap_or_default();
    Ok(unprocessed.remove(TABLE).unwrap_or_default())
}

fn id(item: &Item) -> u64 {
    item["order_id"].as_s().unwrap().parse().unwrap()
}

fn ids(requests: &[WriteRequest]) -> BTreeSet<u64> {
    let id = |request: &WriteRequest| id(request.put_request().unwrap().item());
    requests.iter().map(id).collect()
}

async fn stored(client: &Client) -> BTreeSet<u64> {
    let mut ids = BTreeSet::new();
    let mut start = None;
    loop {
        let scan = client.scan().table_name(TABLE);
        let page = scan.set_exclusive_start_key(start).send().await.unwrap();
        ids.extend(page.items().iter().map(id));
        start = page.last_evaluated_key;
        if start.is_none() {
            return ids;
        }
    }
}

/// Returns each reason with the last segment of the ARN of its table or index.
fn names(reasons: &[ThrottlingReason]) -> Vec<(&str, &str)> {
    reasons.iter().map(name).collect()
}

fn name(reason: &ThrottlingReason) -> (&str, &str) {
    let resource = reason.resource().unwrap();
    let (_, last) = resource.rsplit_once('/').unwrap();
    (reason.reason().unwrap(), last)
}

fn throttled(error: SdkError<BatchWriteItemError>) -> Vec<ThrottlingReason> {
    match error.into_service_error() {
        BatchWriteItemError::ProvisionedThroughputExceededException(error) => {
            error.throttling_reasons.unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// Returns the code of each action of a cancelled transaction.
fn cancelled(error: SdkError<TransactWriteItemsError>) -> Vec<String> {
    let error = match error.into_service_error() {
        TransactWriteItemsError::TransactionCanceledException(error) => error,
        other => panic!("{other:?}"),
    };
    let reasons = error.cancellation_reasons().iter();
    reasons
        .map(|reason| reason.code().unwrap().to_owned())
        .collect()
}

/// Writes orders for a time, and repeats unprocessed ones after a second. Returns how many orders
/// were written.
async fn load(client: &Client, time: Duration) -> u64 {
    let end = Instant::now() + time;
    let mut next = 0;
    let mut pending = Vec::new();
    while Instant::now() < end {
        let first = next;
        next += 25 - pending.len() as u64;
        pending.extend(puts((first..next).map(order)));
        pending = match send(client, pending.clone()).await {
            Ok(unprocessed) => unprocessed,
            Err(error) => {
                throttled(error);
                pending
            }
        };
        if !pending.is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    next - pending.len() as u64
}

#[tokio::test(start_paused = true)]
async fn a_table_takes_its_burst_and_then_its_rate() {
    let emulator = open(Options::default());
    let client = client(&emulator);
    create_table(&client, (5, 5), Some((5, 5))).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let loaded = load(&client, Duration::from_secs(3600)).await;
    let expected = 1_500.0 + 5.0 * 3_600.0;
    let share = loaded as f64 / expected;
    assert!((0.99..1.01).contains(&share), "{loaded} of {expected}");
    let meter = emulator.meter();
    assert_eq!(meter.tables[TABLE].own.write, loaded as f64);
    assert_eq!(meter.tables[TABLE].indexes[INDEX].write, loaded as f64);
}

#[tokio::test(start_paused = true)]
async fn writes_beyond_the_capacity_are_unprocessed() {
    let emulator = open(Options::default());
    let client = client(&emulator);
    create_table(&client, (5, 10), None).await;
    let batch = puts((0..25).map(order));
    let unprocessed = ids(&send(&client, batch.clone()).await.unwrap());
    assert_eq!(unprocessed.len(), 15);
    let kept: BTreeSet<u64> = (0..25).filter(|id| !unprocessed.contains(id)).collect();
    assert_eq!(stored(&client).await, kept);
    assert_eq!(emulator.meter().unprocessed_items, 15);
    let reasons = throttled(send(&client, batch).await.unwrap_err());
    assert_eq!(
        names(&reasons),
        [("TableWriteProvisionedThroughputExceeded", TABLE)]
    );
    assert_eq!(emulator.meter().throttled_requests, 1);
}

#[tokio::test(start_paused = true)]
async fn a_large_item_makes_the_balance_negative() {
    let emulator = open(Options::default());
    let client = client(&emulator);
    create_table(&client, (5, 5), None).await;
    let large = puts([with_note(order(1), 29_000)]);
    assert!(send(&client, large).await.unwrap().is_empty());
    tokio::time::sleep(Duration::from_secs(4)).await;
    throttled(send(&client, puts([order(2)])).await.unwrap_err());
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(send(&client, puts([order(2)])).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_index_without_capacity_throttles_its_table() {
    let emulator = open(Options::default());
    let client = client(&emulator);
    create_table(&client, (100, 1_000), Some((5, 5))).await;
    let unprocessed = send(&client, puts((0..25).map(order))).await.unwrap();
    assert_eq!(unprocessed.len(), 20);
    let reasons = throttled(send(&client, unprocessed).await.unwrap_err());
    assert_eq!(
        names(&reasons),
        [("IndexWriteProvisionedThroughputExceeded", INDEX)]
    );
    // Entries that do not change need no capacity of the index, and neither do items without its key.
    let known = *stored(&client).await.first().unwrap();
    let mut changed = order(known);
    changed.insert("status".to_owned(), s("paid"));
    let mut without_customer = order(100);
    without_customer.remove("customer_id");
    let batch = puts([changed, without_customer]);
    assert!(send(&client, batch).await.unwrap().is_empty());
    let put = client.put_item().table_name(TABLE);
    let error = put.set_item(Some(order(101))).send().await.unwrap_err();
    let error = error.into_service_error();
    assert!(
        error.is_provisioned_throughput_exceeded_exception(),
        "{error:?}"
    );
    let update = |name: &str| {
        client
            .update_item()
            .table_name(TABLE)
            .key("order_id", s(known.to_string()))
            .update_expression("SET #a = :v")
            .expression_attribute_names("#a", name)
            .expression_attribute_values(":v", s("3"))
            .send()
    };
    update("status").await.unwrap();
    let error = update("customer_id").await.unwrap_err();
    let error = error.into_service_error();
    assert!(
        error.is_provisioned_throughput_exceeded_exception(),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn reads_of_an_index_use_its_own_capacity() {
    let emulator = with_full_burst();
    let client = client(&emulator);
    create_table(&client, (5, 5), Some((1, 5))).await;
    let batch = puts((0..25).map(order));
    assert!(send(&client, batch).await.unwrap().is_empty());
    let query = || {
        client
            .query()
            .table_name(TABLE)
            .index_name(INDEX)
            .key_condition_expression("customer_id = :s")
            .expression_attribute_values(":s", s("1"))
            .select(Select::Count)
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .send()
    };
    let answer = query().await.unwrap();
    assert_eq!(answer.count(), 4);
    let used = answer.consumed_capacity.unwrap();
    let used = used.global_secondary_indexes.unwrap();
    assert_eq!(used[INDEX].capacity_units(), Some(0.5));
    let mut queries = 1;
    let error = loop {
        match query().await {
            Ok(_) => queries += 1,
            Err(error) => break error.into_service_error(),
        }
    };
    assert_eq!(queries, 600);
    assert!(
        error.is_provisioned_throughput_exceeded_exception(),
        "{error:?}"
    );
    let used = emulator.meter().tables[TABLE].clone();
    let (read, write) = (300.0, 25.0);
    assert_eq!(used.indexes[INDEX], Units { read, write });
    assert_eq!(used.own, Units { read: 0.0, write });
    // The table's reads, and writes, have capacity of their own.
    let get = client.get_item().table_name(TABLE).key("order_id", s("1"));
    let answer = get.consistent_read(true).send().await.unwrap();
    assert!(answer.item.is_some());
    assert!(send(&client, puts([order(99)])).await.unwrap().is_empty());
    assert_eq!(emulator.meter().tables[TABLE].own.read, 1.0);
}

#[tokio::test(start_paused = true)]
async fn keys_beyond_the_capacity_are_unprocessed() {
    let emulator = open(Options::default());
    let client = client(&emulator);
    create_table(&client, (5, 100), None).await;
    send(&client, puts((0..25).map(order))).await.unwrap();
    let keys = (0..25).map(|id: u64| Item::from([("order_id".to_owned(), s(id.to_string()))]));
    let keys = KeysAndAttributes::builder()
        .set_keys(Some(keys.collect()))
        .projection_expression("order_id")
        .build()
        .unwrap();
    let get = |keys| client.batch_get_item().request_items(TABLE, keys).send();
    let answer = get(keys).await.unwrap();
    let items = &answer.responses().unwrap()[TABLE];
    let found: BTreeSet<u64> = items.iter().map(id).collect();
    let rest = &answer.unprocessed_keys().unwrap()[TABLE];
    assert_eq!(rest.projection_expression(), Some("order_id"));
    let unprocessed: BTreeSet<u64> = rest.keys().iter().map(id).collect();
    assert_eq!((found.len(), unprocessed.len()), (10, 15));
    assert!(found.is_disjoint(&unprocessed));
    let error = get(rest.clone()).await.unwrap_err().into_service_error();
    assert!(
        error.is_provisioned_throughput_exceeded_exception(),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn added_capacity_is_available_at_once() {
    let emulator = open(Options::default());
    let client = client(&emulator);
    create_table(&client, (5, 5), None).await;
    send(&client, puts((0..25).map(order))).await.unwrap();
    let update = client.update_table().table_name(TABLE);
    let update = update.provisioned_throughput(throughput(5, 1_000));
    let table = update.send().await.unwrap().table_description.unwrap();
    let given = table.provisioned_throughput.unwrap();
    assert_eq!(given.write_capacity_units, Some(1_000));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let batch = puts((0..25).map(order));
    assert!(send(&client, batch).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_on_demand_table_has_limits_of_its_own() {
    let emulator = open(Options::default());
    let client = client(&emulator);
    let create = |name: &str| {
        client
            .create_table()
            .table_name(name)
            .key_schema(key("order_id"))
            .attribute_definitions(text("order_id"))
            .billing_mode(BillingMode::PayPerRequest)
    };
    create(TABLE).send().await.unwrap();
    let most = OnDemandThroughput::builder().max_write_request_units(10);
    let capped = create("Capped").on_demand_throughput(most.build());
    capped.send().await.unwrap();
    let put = |table: &str, id, size| {
        let item = with_note(order(id), size);
        client
            .put_item()
            .table_name(table)
            .set_item(Some(item))
            .send()
    };
    let reasons = |error: SdkError<PutItemError>| match error.into_service_error() {
        PutItemError::ThrottlingException(error) => error.throttling_reasons.unwrap(),
        other => panic!("{other:?}"),
    };
    // A partition key has a thousand units a second, the table four thousand.
    for _ in 0..4 {
        put(TABLE, 1, 255_900).await.unwrap();
    }
    let hot = reasons(put(TABLE, 1, 10).await.unwrap_err());
    let key_range = ("TableWriteKeyRangeThroughputExceeded", TABLE);
    assert_eq!(names(&hot), [key_range]);
    for id in 2..14 {
        put(TABLE, id, 255_900).await.unwrap();
    }
    let full = reasons(put(TABLE, 99, 10).await.unwrap_err());
    assert_eq!(names(&full), [key_range]);
    put("Capped", 1, 10_000).await.unwrap();
    let capped = reasons(put("Capped", 2, 10).await.unwrap_err());
    let maximum = ("TableWriteMaxOnDemandThroughputExceeded", "Capped");
    assert_eq!(names(&capped), [maximum]);
}

#[tokio::test(start_paused = true)]
async fn a_hot_key_throttles_no_other_key() {
    let emulator = with_full_burst();
    let client = client(&emulator);
    create_table(&client, (40_000, 40_000), Some((5, 40_000))).await;
    let of = |id: u64, customer: &str| {
        let mut order = order(id);
        order.insert("customer_id".to_owned(), s(customer));
        order
    };
    for first in (0..1_000).step_by(25) {
        let batch = puts((first..first + 25).map(|id| of(id, "35")));
        assert!(send(&client, batch).await.unwrap().is_empty());
    }
    let batch = puts([of(2_000, "35"), of(2_001, "36")]);
    let unprocessed = send(&client, batch).await.unwrap();
    assert_eq!(ids(&unprocessed), BTreeSet::from([2_000]));
    let reasons = throttled(send(&client, unprocessed).await.unwrap_err());
    let hot = ("IndexWriteKeyRangeThroughputExceeded", INDEX);
    assert_eq!(names(&reasons), [hot]);
    // A partition key has three thousand units a second: 31 reads of this item, at 98 units each.
    let put = client.put_item().table_name(TABLE);
    let put = put.set_item(Some(with_note(order(3_000), 390_000)));
    put.send().await.unwrap();
    let query = |id: u64| {
        client
            .query()
            .table_name(TABLE)
            .key_condition_expression("order_id = :id")
            .expression_attribute_values(":id", s(id.to_string()))
            .select(Select::Count)
            .consistent_read(true)
            .send()
    };
    for _ in 0..32 {
        query(3_000).await.unwrap();
    }
    let error = match query(3_000).await.unwrap_err().into_service_error() {
        QueryError::ProvisionedThroughputExceededException(error) => error,
        other => panic!("{other:?}"),
    };
    let hot = ("TableReadKeyRangeThroughputExceeded", TABLE);
    assert_eq!(names(error.throttling_reasons()), [hot]);
    query(2_001).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_have_the_types_of_the_service() {
    let emulator = with_full_burst();
    let client = client(&emulator);
    let put = || client.put_item().table_name(TABLE).set_item(Some(order(1)));
    let error = put().send().await.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
    create_table(&client, (5, 5), None).await;
    let again = client
        .create_table()
        .table_name(TABLE)
        .key_schema(key("order_id"))
        .attribute_definitions(text("order_id"))
        .billing_mode(BillingMode::PayPerRequest);
    let error = again.send().await.unwrap_err().into_service_error();
    assert!(error.is_resource_in_use_exception(), "{error:?}");
    put().send().await.unwrap();
    let absent = "attribute_not_exists(order_id)";
    let error = put().condition_expression(absent).send().await.unwrap_err();
    let error = error.into_service_error();
    assert!(error.is_conditional_check_failed_exception(), "{error:?}");
    // A failed condition costs the units of the existing item.
    assert_eq!(emulator.meter().tables[TABLE].own.write, 2.0);
    let action = |id, condition: Option<&str>| {
        let put = Put::builder()
            .table_name(TABLE)
            .set_item(Some(order(id)))
            .set_condition_expression(condition.map(str::to_owned));
        TransactWriteItem::builder()
            .put(put.build().unwrap())
            .build()
    };
    let transaction = client
        .transact_write_items()
        .transact_items(action(2, None))
        .transact_items(action(1, Some(absent)));
    let codes = cancelled(transaction.send().await.unwrap_err());
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    let duplicates = puts([order(3), order(3)]);
    let error = send(&client, duplicates).await.unwrap_err();
    assert_eq!(error.code(), Some("ValidationException"));
    let error = client.describe_limits().send().await.unwrap_err();
    assert_eq!(error.code(), Some("UnknownOperationException"));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_needs_capacity_for_all_its_actions() {
    let emulator = open(Options::default());
    let client = client(&emulator);
    create_table(&client, (5, 4), None).await;
    let action = |id| {
        let put = Put::builder().table_name(TABLE).set_item(Some(order(id)));
        TransactWriteItem::builder()
            .put(put.build().unwrap())
            .build()
    };
    let send = |first: u64| {
        client
            .transact_write_items()
            .set_transact_items(Some((first..first + 3).map(action).collect()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
    };
    let answer = send(0).await.unwrap();
    assert_eq!(answer.consumed_capacity()[0].capacity_units(), Some(6.0));
    let codes = cancelled(send(3).await.unwrap_err());
    assert_eq!(codes, ["ProvisionedThroughputExceeded"; 3]);
    assert_eq!(stored(&client).await, BTreeSet::from([0, 1, 2]));
}

#[tokio::test(start_paused = true)]
async fn the_capacity_report_is_as_detailed_as_requested() {
    let emulator = with_full_burst();
    let client = client(&emulator);
    create_table(&client, (5, 5), Some((5, 5))).await;
    let put = || client.put_item().table_name(TABLE).set_item(Some(order(1)));
    assert_eq!(put().send().await.unwrap().consumed_capacity, None);
    let total = put().return_consumed_capacity(ReturnConsumedCapacity::Total);
    let used = total.send().await.unwrap().consumed_capacity.unwrap();
    assert_eq!((used.capacity_units, used.table), (Some(1.0), None));
    let batch = client
        .batch_write_item()
        .request_items(TABLE, puts((10..20).map(order)))
        .return_consumed_capacity(ReturnConsumedCapacity::Indexes);
    let used = batch.send().await.unwrap().consumed_capacity.unwrap();
    assert_eq!(used[0].capacity_units, Some(20.0));
    let indexes = used[0].global_secondary_indexes().unwrap();
    assert_eq!(indexes[INDEX].capacity_units(), Some(10.0));
}

/// Puts eighty orders under faults. Returns the result of each request, and the stored orders.
async fn results_under(faults: Faults) -> (Vec<String>, BTreeSet<u64>, Emulator) {
    let emulator = with_full_burst();
    let timeout = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(5));
    let config = config(&emulator).timeout_config(timeout.build());
    let client = Client::from_conf(config.build());
    create_table(&client, (100, 5), None).await;
    emulator.set_faults(faults);
    let mut results = Vec::new();
    for id in 0..80 {
        let put = client
            .put_item()
            .table_name(TABLE)
            .set_item(Some(order(id)));
        results.push(match put.send().await {
            Ok(_) => "done".to_owned(),
            Err(SdkError::TimeoutError(_)) => "timeout".to_owned(),
            Err(SdkError::DispatchFailure(failure)) if failure.is_io() => "reset".to_owned(),
            // As the HTTP client of the SDK reports a connection that the other end closes.
            Err(SdkError::DispatchFailure(failure)) if failure.is_other() => "closed".to_owned(),
            Err(SdkError::ServiceError(error)) => error.err().code().unwrap().to_owned(),
            Err(other) => panic!("{other:?}"),
        });
    }
    emulator.set_faults(Faults::default());
    (results, stored(&client).await, emulator)
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_injects_the_same_faults() {
    let faults = Faults {
        seed: 3,
        internal_error: 0.15,
        throttle: 0.15,
        timeout: 0.15,
        dropped_reply: 0.15,
        ..Faults::default()
    };
    let (first, kept, emulator) = results_under(faults).await;
    let (again, kept_again, _) = results_under(faults).await;
    assert_eq!((&first, &kept), (&again, &kept_again));
    let mut counts = BTreeMap::new();
    for result in &first {
        *counts.entry(result.as_str()).or_insert(0_u64) += 1;
    }
    let injected = emulator.meter().faults;
    assert_eq!(counts["reset"] + counts["closed"], injected.dropped_replies);
    assert_eq!(counts["timeout"], injected.timeouts);
    assert_eq!(counts["InternalServerError"], injected.internal_errors);
    assert!(counts["ProvisionedThroughputExceededException"] > 0);
    // A dropped reply is one of a write that was executed, a timeout one of a write that was not.
    for (id, result) in (0..).zip(&first) {
        match result.as_str() {
            "done" => assert!(kept.contains(&id), "{id}"),
            "reset" | "closed" => {}
            other => assert!(!kept.contains(&id), "{id} {other}"),
        }
    }
    let done = counts["done"];
    assert!(kept.len() as u64 > done, "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_partial_batch_is_stored_or_unprocessed() {
    let emulator = with_full_burst();
    let client = client(&emulator);
    create_table(&client, (100, 100), None).await;
    emulator.set_faults(Faults {
        seed: 1,
        partial_batch: 1.0,
        ..Faults::default()
    });
    let batch = puts((0..25).map(order));
    let unprocessed = ids(&send(&client, batch).await.unwrap());
    emulator.set_faults(Faults::default());
    let kept = stored(&client).await;
    assert!(!unprocessed.is_empty() && !kept.is_empty());
    assert!(kept.is_disjoint(&unprocessed));
    assert_eq!(kept.len() + unprocessed.len(), 25);
}

/// Reads the stream of the table from its beginning.
async fn events(emulator: &Emulator) -> Vec<String> {
    let streams = aws_sdk_dynamodbstreams::Client::new(&emulator.sdk_config());
    let list = streams.list_streams().table_name(TABLE);
    let list = list.send().await.unwrap();
    let arn = list.streams()[0].stream_arn().unwrap();
    let stream = streams.describe_stream().stream_arn(arn);
    let stream = stream.send().await.unwrap().stream_description.unwrap();
    let iterator = streams
        .get_shard_iterator()
        .stream_arn(arn)
        .shard_id(stream.shards()[0].shard_id().unwrap())
        .shard_iterator_type(ShardIteratorType::TrimHorizon);
    let iterator = iterator.send().await.unwrap().shard_iterator;
    let records = streams.get_records().set_shard_iterator(iterator);
    let records = records.send().await.unwrap().records.unwrap_or_default();
    let names = records.iter().map(|record| record.event_name().unwrap());
    names.map(|name| name.as_str().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_only_changes_of_its_own_table() {
    let emulator = open(Options::default());
    let client = client(&emulator);
    let create = || {
        let stream = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewAndOldImages);
        client
            .create_table()
            .table_name(TABLE)
            .key_schema(key("order_id"))
            .attribute_definitions(text("order_id"))
            .billing_mode(BillingMode::PayPerRequest)
            .stream_specification(stream.build().unwrap())
            .send()
    };
    create().await.unwrap();
    let put = |item| {
        client
            .put_item()
            .table_name(TABLE)
            .set_item(Some(item))
            .send()
    };
    put(order(1)).await.unwrap();
    put(order(1)).await.unwrap();
    put(with_note(order(1), 1)).await.unwrap();
    let request = client
        .delete_item()
        .table_name(TABLE)
        .key("order_id", s("1"));
    request.send().await.unwrap();
    assert_eq!(events(&emulator).await, ["INSERT", "MODIFY", "REMOVE"]);
    let request = client.delete_table().table_name(TABLE);
    request.send().await.unwrap();
    create().await.unwrap();
    put(order(2)).await.unwrap();
    assert_eq!(events(&emulator).await, ["INSERT"]);
}

#[tokio::test]
async fn other_processes_connect_by_a_port() {
    let emulator = with_full_burst();
    let serving = emulator.serve().await.unwrap();
    let http = aws_smithy_http_client::Builder::new().build_http();
    let endpoint = format!("http://{}", serving.addr);
    let client = Client::from_conf(
        config(&emulator)
            .http_client(http)
            .endpoint_url(endpoint)
            .build(),
    );
    // So little that no capacity comes back while the test runs.
    create_table(&client, (5, 1), None).await;
    for first in [0, 25, 50] {
        let batch = puts((first..first + 25).map(order));
        assert!(send(&client, batch).await.unwrap().is_empty());
    }
    assert_eq!(stored(&client).await.len(), 75);
    let put = |size| {
        let item = with_note(order(99), size);
        client
            .put_item()
            .table_name(TABLE)
            .set_item(Some(item))
            .send()
    };
    put(390_000).await.unwrap();
    let error = put(1).await.unwrap_err().into_service_error();
    assert!(
        error.is_provisioned_throughput_exceeded_exception(),
        "{error:?}"
    );
    emulator.set_faults(Faults {
        dropped_reply: 1.0,
        ..Faults::default()
    });
    let get = || {
        client
            .get_item()
            .table_name(TABLE)
            .key("order_id", s("1"))
            .send()
    };
    let error = get().await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    drop(serving);
    let error = get().await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
}

fn open_file(path: &Path) -> Emulator {
    open(Options {
        path: Some(path.to_owned()),
        burst: Burst::Full,
        ..Options::default()
    })
}

/// The writer of the next test, which runs it in another process and kills that. It prints how many
/// orders are stored. Run with the other tests it does nothing.
#[tokio::test]
async fn writer_to_be_killed() {
    let Some(path) = std::env::var_os("TEST_DATABASE") else {
        return;
    };
    let emulator = open_file(Path::new(&path));
    let client = client(&emulator);
    create_table(&client, (1_000, 1_000), Some((5, 1_000))).await;
    for first in (0..).step_by(25) {
        let batch = puts((first..first + 25).map(order));
        assert!(send(&client, batch).await.unwrap().is_empty());
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nstored {}", first + 25).unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.db");
    let mut writer = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "writer_to_be_killed"])
        .env("TEST_DATABASE", &path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = 0;
    for line in BufReader::new(writer.stdout.take().unwrap()).lines() {
        if let Some(n) = line.unwrap().strip_prefix("stored ") {
            acknowledged = n.parse().unwrap();
        }
        if acknowledged >= 500 {
            break;
        }
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    let emulator = open_file(&path);
    let client = client(&emulator);
    let kept = stored(&client).await;
    let expected: BTreeSet<u64> = (0..acknowledged).collect();
    assert!(acknowledged >= 500 && expected.is_subset(&kept));
    // The capacity of the table is read from the file.
    for id in 0..5 {
        let batch = puts([with_note(order(id), 380_000)]);
        assert!(send(&client, batch).await.unwrap().is_empty());
    }
    assert_eq!(emulator.meter().tables[TABLE].own.write, 5.0 * 372.0);
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_gets_no_response_and_the_request_is_executed() {
    let faults = Faults {
        unanswered: 1.0,
        ..Faults::default()
    };
    let (results, kept, emulator) = results_under(faults).await;
    assert!(
        results.iter().all(|result| result == "timeout"),
        "{results:?}"
    );
    assert_eq!((results.len(), kept.len()), (80, 80));
    assert_eq!(emulator.meter().faults.unanswered, 80);
}

#[tokio::test(start_paused = true)]
async fn slow_responses_arrive_late_or_byte_by_byte_or_too_late() {
    let faults = Faults {
        slow_reply: 1.0,
        ..Faults::default()
    };
    let start = Instant::now();
    let (results, kept, emulator) = results_under(faults).await;
    // A response to a put is two bytes long; one that is late arrives in 5 of 60 seconds before the timeout.
    let done = results.iter().filter(|result| *result == "done").count();
    let late = results.iter().filter(|result| *result == "timeout").count();
    assert_eq!(done + late, 80, "{results:?}");
    assert!((20..60).contains(&late), "{late}");
    assert_eq!(kept.len(), 80);
    assert_eq!(emulator.meter().faults.slow_replies, 80);
    assert!(start.elapsed() >= Duration::from_secs(5 * late as u64));
}

#[tokio::test]
async fn other_processes_meet_slow_and_half_open_connections() {
    let emulator = with_full_burst();
    let serving = emulator.serve().await.unwrap();
    let timeout = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(500));
    let client = Client::from_conf(
        config(&emulator)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(format!("http://{}", serving.addr))
            .timeout_config(timeout.build())
            .build(),
    );
    create_table(&client, (100, 100), None).await;
    let put = |id| {
        let put = client.put_item().table_name(TABLE);
        put.set_item(Some(order(id))).send()
    };
    emulator.set_faults(Faults {
        unanswered: 1.0,
        ..Faults::default()
    });
    assert!(matches!(put(1).await, Err(SdkError::TimeoutError(_))));
    emulator.set_faults(Faults {
        slow_reply: 1.0,
        ..Faults::default()
    });
    let mut done = 0;
    for id in 2..12 {
        done += u64::from(put(id).await.is_ok());
    }
    assert!(done > 0, "a response byte by byte");
    emulator.set_faults(Faults::default());
    assert_eq!(stored(&client).await.len(), 11);
}

#[tokio::test(start_paused = true)]
async fn warm_throughput_is_kept_and_taken_at_once() {
    let emulator = open(Options::default());
    let client = client(&emulator);
    let table = client
        .create_table()
        .table_name(TABLE)
        .attribute_definitions(text("order_id"))
        .key_schema(key("order_id"))
        .billing_mode(BillingMode::PayPerRequest);
    table.send().await.unwrap();
    let warmed = |units| {
        let warm = WarmThroughput::builder().write_units_per_second(units);
        let update = client.update_table().table_name(TABLE);
        update.warm_throughput(warm.build()).send()
    };
    let written = async |first: u64| {
        let mut written = 0;
        for n in 0..60 {
            let batch = (0..25).map(|k| with_note(order(first + 25 * n + k), 9_300));
            written += 25
                - send(&client, puts(batch))
                    .await
                    .map_or(25, |left| left.len());
        }
        written
    };
    // All at one moment: ten units each, of 4,000 at first.
    assert_eq!(written(0).await, 400);
    warmed(12_000).await.unwrap();
    let described = client
        .describe_table()
        .table_name(TABLE)
        .send()
        .await
        .unwrap();
    let warm = described.table.unwrap().warm_throughput.unwrap();
    assert_eq!(warm.write_units_per_second, Some(12_000));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(written(10_000).await, 1_200);
    let refused = warmed(4_000).await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("ValidationException"));
}

#[test]
fn a_file_of_another_program_is_refused_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| {
        Emulator::open(Options {
            path: Some(path.to_owned()),
            ..Options::default()
        })
    };
    let table = folder.path().join("trips.csv");
    std::fs::write(&table, "ride_id,started_at\n1,2024-01-01\n").unwrap();
    let refused = open(&table).unwrap_err().to_string();
    assert!(
        refused.ends_with("it is no database of SQLite"),
        "{refused}"
    );
    let other = folder.path().join("other.db");
    let database = rusqlite::Connection::open(&other).unwrap();
    database.execute("CREATE TABLE notes (text)", []).unwrap();
    drop(database);
    let before = std::fs::read(&other).unwrap();
    let refused = open(&other).unwrap_err().to_string();
    assert!(
        refused.ends_with("it is a database of another program"),
        "{refused}"
    );
    assert_eq!(std::fs::read(&other).unwrap(), before);

    // An empty file, and one that the emulator has made, are opened.
    let own = folder.path().join("own.db");
    std::fs::write(&own, "").unwrap();
    drop(open(&own).unwrap());
    drop(open(&own).unwrap());
}
