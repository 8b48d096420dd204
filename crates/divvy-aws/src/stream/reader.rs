//! Reads the records of a stream, shard by shard.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsOutput;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use divvy::store::StoreError;

use super::checkpoints::{Checkpoints, Place};
use super::read_error;
use super::records::{Delivery, event_record};
use super::shards::Shards;

/// The most records of one request.
const PAGE: usize = 1000;

/// Responses without records after which no more records are expected now. A single one is not
/// enough: the service may have read a stretch of the shard without records.
const EMPTY_PAGES: u32 = 3;

/// Reads a stream from checkpoints on.
#[derive(Debug)]
pub struct StreamReader {
    client: Client,
    /// The checkpoints up to which records have been returned.
    reached: Checkpoints,
    /// The shards as last listed. `None` before that, and after a shard was closed.
    shards: Option<Shards>,
    /// The iterator of the next page of each shard. They expire after 15 minutes.
    iterators: BTreeMap<String, String>,
    /// Whether records expired before they were read.
    lost: bool,
}

impl StreamReader {
    /// Makes a reader that continues at checkpoints.
    pub fn new(client: Client, checkpoints: Checkpoints) -> Self {
        Self {
            client,
            reached: checkpoints,
            shards: None,
            iterators: BTreeMap::new(),
            lost: false,
        }
    }

    /// Returns how far records have been returned.
    pub fn reached(&self) -> &Checkpoints {
        &self.reached
    }

    /// Returns whether records expired (after 24 hours) before they were read: all counts then need
    /// a refresh.
    pub fn has_lost(&self) -> bool {
        self.lost
    }

    /// Reads at most `limit` records. Empty where there are no more now.
    ///
    /// # Errors
    ///
    /// Those of [`store_error`](crate::connect::store_error). The next call continues.
    pub async fn read(&mut self, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let mut read = Vec::new();
        let mut open = self.open_shards().await?;
        while let Some(shard) = open.pop_front() {
            let is_closed = match self.read_shard(&shard, limit, &mut read).await {
                Ok(is_closed) => is_closed,
                // What was read is returned first.
                Err(_) if !read.is_empty() => break,
                Err(error) => return Err(error),
            };
            if read.len() >= limit {
                break;
            }
            if is_closed {
                // Its children can be read now.
                self.shards = None;
                let waiting: BTreeSet<String> = open.iter().cloned().collect();
                let listed = match self.open_shards().await {
                    Ok(listed) => listed,
                    Err(_) if !read.is_empty() => break,
                    Err(error) => return Err(error),
                };
                open.extend(listed.into_iter().filter(|next| !waiting.contains(next)));
            }
        }
        Ok(read)
    }

    /// Reads a shard until `read` is full or there are no more records. Returns whether the shard is
    /// closed.
    async fn read_shard(
        &mut self,
        shard: &str,
        limit: usize,
        read: &mut Vec<Delivery>,
    ) -> Result<bool, StoreError> {
        let mut empty_pages = 0;
        while read.len() < limit && empty_pages < EMPTY_PAGES {
            let wanted = (limit - read.len()).min(PAGE);
            let Some(page) = self.page(shard, wanted).await? else {
                self.reached.move_to(shard, Place::End);
                return Ok(true);
            };
            let records = page.records.unwrap_or_default();
            empty_pages = match records.is_empty() {
                true => empty_pages + 1,
                false => 0,
            };
            for record in records {
                let delivery = Delivery {
                    shard: shard.into(),
                    record: event_record(record, &self.reached.stream_arn),
                };
                self.reached.advance(&delivery);
                read.push(delivery);
            }
            match page.next_shard_iterator {
                Some(next) => {
                    self.iterators.insert(shard.into(), next);
                }
                None => {
                    self.iterators.remove(shard);
                    self.reached.move_to(shard, Place::End);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Requests the next records of a shard. `None` where the shard no longer exists.
    async fn page(
        &mut self,
        shard: &str,
        wanted: usize,
    ) -> Result<Option<GetRecordsOutput>, StoreError> {
        loop {
            let iterator = match self.iterators.get(shard) {
                Some(iterator) => iterator.clone(),
                None => match self.iterator(shard).await? {
                    Some(iterator) => iterator,
                    None => return Ok(None),
                },
            };
            let request = self.client.get_records();
            let request = request.shard_iterator(iterator).limit(wanted as i32);
            let error = match request.send().await {
                Ok(page) => return Ok(Some(page)),
                Err(error) => error,
            };
            self.iterators.remove(shard);
            match error.code() {
                // Continues with a new iterator.
                Some("ExpiredIteratorException") => {}
                Some("TrimmedDataAccessException") => self.skip_lost(shard),
                Some("ResourceNotFoundException") => return Ok(None),
                _ => return Err(read_error(&error, &self.reached.stream_arn)),
            }
        }
    }

    /// Requests an iterator of a shard. `None` where the shard no longer exists.
    async fn iterator(&mut self, shard: &str) -> Result<Option<String>, StoreError> {
        loop {
            let request = self.client.get_shard_iterator();
            let request = request.stream_arn(&self.reached.stream_arn).shard_id(shard);
            let request = match self.reached.shards.get(shard) {
                Some(Place::After(done)) => request
                    .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                    .sequence_number(done),
                Some(Place::End) => return Ok(None),
                None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            };
            let error = match request.send().await {
                Ok(answer) => return Ok(answer.shard_iterator),
                Err(error) => error,
            };
            match error.code() {
                Some("TrimmedDataAccessException") if self.reached.shards.contains_key(shard) => {
                    self.skip_lost(shard);
                }
                Some("ResourceNotFoundException") => return Ok(None),
                _ => return Err(read_error(&error, &self.reached.stream_arn)),
            }
        }
    }

    /// Continues with the oldest record, where the one after the checkpoint has expired.
    fn skip_lost(&mut self, shard: &str) {
        self.lost = true;
        self.reached.shards.remove(shard);
    }

    /// Lists the shards to be read now. Where shards are listed again, drops the checkpoints of
    /// those that no longer exist.
    async fn open_shards(&mut self) -> Result<VecDeque<String>, StoreError> {
        let shards = match self.shards.take() {
            Some(shards) => shards,
            None => {
                let listed = Shards::list(&self.client, &self.reached.stream_arn).await?;
                self.lost |= self.reached.retain(&listed.ids());
                listed
            }
        };
        let open = shards.open(&self.reached);
        self.shards = Some(shards);
        Ok(open)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use divvy::store::StoreErrorKind;
    use serde_json::{Value, json};

    use super::*;
    use crate::connect::tests::{Canned, connection};

    const ARN: &str =
        "arn:aws:dynamodb:us-east-1:1:table/StationData/stream/2026-11-24T00:00:00.000";

    /// A stream with a closed shard, its child, and another open shard.
    #[derive(Debug, Default)]
    struct Streams {
        /// The numbers of the records of each shard.
        records: BTreeMap<&'static str, Vec<u64>>,
        closed: BTreeSet<&'static str>,
        /// The oldest number that is kept.
        horizon: u64,
        /// The expired iterators.
        expired: BTreeSet<String>,
        asked: Vec<String>,
    }

    impl Streams {
        fn answer(&mut self, operation: &str, body: &str) -> Canned {
            let body: Value = serde_json::from_str(body).unwrap();
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            self.asked.push(operation.into());
            let refused = |kind: &str| {
                let namespace = "com.amazonaws.dynamodb.v20120810";
                Ok((400, format!(r#"{{"__type":"{namespace}#{kind}"}}"#)))
            };
            let answer = match operation {
                "DescribeStream" => {
                    let shards = [("child", Some("parent")), ("other", None), ("parent", None)];
                    let shard = |(id, parent): (&str, Option<&str>)| json!({"ShardId": id, "ParentShardId": parent});
                    // one a page
                    let start = text("ExclusiveStartShardId");
                    let next = shards
                        .iter()
                        .position(|(id, _)| *id == start)
                        .map_or(0, |at| at + 1);
                    let last = (next < 2).then(|| shards[next].0);
                    json!({"StreamDescription": {
                        "StreamArn": ARN, "Shards": [shard(shards[next])],
                        "LastEvaluatedShardId": last,
                    }})
                }
                "GetShardIterator" => {
                    let after: u64 = text("SequenceNumber").parse().unwrap_or(0);
                    if body["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER" && after < self.horizon
                    {
                        return refused("TrimmedDataAccessException");
                    }
                    json!({"ShardIterator": format!("{}:{after}:{}", text("ShardId"), self.asked.len())})
                }
                "GetRecords" => {
                    let iterator = text("ShardIterator");
                    if self.expired.remove(&iterator) {
                        return refused("ExpiredIteratorException");
                    }
                    let mut parts = iterator.split(':');
                    let shard = parts.next().unwrap();
                    let after: u64 = parts.next().unwrap().parse().unwrap();
                    let limit = body["Limit"].as_u64().unwrap() as usize;
                    let waiting = self.records.get(shard).into_iter().flatten();
                    let numbers: Vec<u64> = waiting
                        .copied()
                        .filter(|n| *n > after && *n >= self.horizon)
                        .take(limit)
                        .collect();
                    let last = numbers.last().copied().unwrap_or(after);
                    let all = self.records.get(shard).and_then(|all| all.last()).copied();
                    let is_end = self.closed.contains(shard) && all.is_none_or(|all| all <= last);
                    let next = (!is_end).then(|| format!("{shard}:{last}:{}", self.asked.len()));
                    let record = |n: &u64| {
                        json!({"eventName": "INSERT", "eventID": n.to_string(), "dynamodb": {
                            "SequenceNumber": n.to_string(), "ApproximateCreationDateTime": 60.0,
                            "SizeBytes": 1, "NewImage": {"station_id": {"S": n.to_string()}},
                        }})
                    };
                    let records: Vec<Value> = numbers.iter().map(record).collect();
                    json!({"Records": records, "NextShardIterator": next})
                }
                other => panic!("{other} is not requested"),
            };
            Ok((200, answer.to_string()))
        }
    }

    async fn reader(streams: &Arc<Mutex<Streams>>, from: Checkpoints) -> StreamReader {
        let streams = streams.clone();
        let answer =
            move |operation: &str, body: &str| streams.lock().unwrap().answer(operation, body);
        StreamReader::new(connection(answer).await.streams, from)
    }

    fn numbers(read: &[Delivery]) -> Vec<String> {
        let number = |delivery: &Delivery| delivery.record.change.sequence_number.clone().unwrap();
        read.iter().map(number).collect()
    }

    fn streams() -> Arc<Mutex<Streams>> {
        Arc::new(Mutex::new(Streams {
            records: [
                ("parent", vec![1, 3, 5]),
                ("child", vec![8, 9]),
                ("other", vec![2, 10]),
            ]
            .into(),
            closed: ["parent"].into(),
            ..Streams::default()
        }))
    }

    #[tokio::test]
    async fn children_are_read_after_their_parents() {
        let streams = streams();
        let mut reader = reader(&streams, Checkpoints::start(ARN)).await;
        let read = reader.read(100).await.unwrap();
        assert_eq!(numbers(&read), ["2", "10", "1", "3", "5", "8", "9"]);
        let first = &read[0].record;
        assert_eq!(first.change.approximate_creation_date_time.timestamp(), 60);
        assert_eq!(first.event_source_arn.as_deref(), Some(ARN));
        assert_eq!(reader.read(100).await.unwrap(), []);
        assert_eq!(reader.reached().shards["parent"], Place::End);
        assert_eq!(reader.reached().shards["child"], Place::After("9".into()));

        streams
            .lock()
            .unwrap()
            .records
            .get_mut("child")
            .unwrap()
            .push(11);
        assert_eq!(numbers(&reader.read(100).await.unwrap()), ["11"]);
        assert!(!reader.has_lost());
    }

    #[tokio::test]
    async fn a_reader_goes_on_from_its_checkpoints() {
        let streams = streams();
        let mut one = reader(&streams, Checkpoints::start(ARN)).await;
        let mut kept = Checkpoints::start(ARN);
        let mut all = Vec::new();
        loop {
            let read = one.read(2).await.unwrap();
            let Some(last) = read.last() else { break };
            assert!(read.len() <= 2);
            read.iter().for_each(|delivery| kept.advance(delivery));
            all.extend(numbers(&read));
            let json = serde_json::to_string(&kept).unwrap();
            one = reader(&streams, serde_json::from_str(&json).unwrap()).await;
            let before = kept.clone();
            kept.advance(last);
            assert_eq!(kept, before, "never back");
        }
        assert_eq!(all, ["2", "10", "1", "3", "5", "8", "9"]);
    }

    #[tokio::test]
    async fn an_expired_iterator_is_renewed() {
        let streams = streams();
        let mut reader = reader(&streams, Checkpoints::start(ARN)).await;
        assert_eq!(numbers(&reader.read(3).await.unwrap()), ["2", "10", "1"]);
        let held = reader.iterators.values().cloned();
        streams.lock().unwrap().expired.extend(held);
        assert_eq!(
            numbers(&reader.read(100).await.unwrap()),
            ["3", "5", "8", "9"]
        );
    }

    #[tokio::test]
    async fn records_that_are_gone_are_reported() {
        let streams = streams();
        let mut from = Checkpoints::start(ARN);
        from.shards
            .insert("parent".into(), Place::After("1".into()));
        streams.lock().unwrap().horizon = 4;
        let mut trimmed = reader(&streams, from.clone()).await;
        let read = trimmed.read(100).await.unwrap();
        assert_eq!(numbers(&read), ["10", "5", "8", "9"]);
        assert!(trimmed.has_lost());

        from.shards = [("gone".into(), Place::After("1".into()))].into();
        let mut gone = reader(&streams, from).await;
        gone.read(100).await.unwrap();
        assert!(gone.has_lost());
        assert!(!gone.reached().shards.contains_key("gone"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_cannot_be_read_has_its_sentence() {
        let answer =
            |_: &str, _: &str| Ok((400, r#"{"__type":"x#LimitExceededException"}"#.into()));
        let connection = connection(answer).await;
        let mut reader = StreamReader::new(connection.streams, Checkpoints::start(ARN));
        let error = reader.read(1).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Busy);
        assert_eq!(
            error.message,
            "reading the stream of StationData: more than two consumers read it at once"
        );
    }
}
