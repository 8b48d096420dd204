//! The Lambda function that handles the stream of StationData.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use aws_lambda_events::dynamodb::Event;
use aws_lambda_events::streams::DynamoDbEventResponse;
use divvy_aws::DynamoStore;
use divvy_aws::lambda::failure::{Failure, Payload};
use divvy_aws::lambda::settings::Settings;
use divvy_aws::lambda::station_stream::handle_event;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Error> {
    let settings = Settings::of_process()?;
    let store = settings.open().await?;
    let handler = async |event| {
        let now = Timestamp::now();
        let done = handle(event, &store, &settings, now).await;
        // The runtime returns errors to the caller, and a stream does not log them.
        done.inspect_err(|failure| println!("{}", failure.line(&settings.dimensions, now)))
    };
    run(service_fn(handler)).await
}

async fn handle(
    event: LambdaEvent<Payload<Event>>,
    store: &DynamoStore,
    settings: &Settings,
    now: Timestamp,
) -> Result<DynamoDbEventResponse, Failure> {
    let (payload, context) = event.into_parts();
    let event = payload.read("an event of a DynamoDB stream")?;
    let system = settings.system_of(store).await?;
    let end = SystemTime::UNIX_EPOCH + Duration::from_millis(context.deadline);
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    let deadline = Instant::now() + left;
    let (response, log) = handle_event(event, store, &system, Some(deadline), now).await;
    println!("{}", log.line(&settings.dimensions, now));
    Ok(response)
}
