//! The Lambda function that handles the stream of StationData.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use aws_lambda_events::dynamodb::Event;
use aws_lambda_events::streams::DynamoDbEventResponse;
use divvy_aws::DynamoStore;
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
        // The runtime returns errors to the caller, and a stream does not log them.
        let done = handle(event, &store, &settings).await;
        done.inspect_err(|error| eprintln!("{error}"))
    };
    run(service_fn(handler)).await
}

async fn handle(
    event: LambdaEvent<Event>,
    store: &DynamoStore,
    settings: &Settings,
) -> Result<DynamoDbEventResponse, Error> {
    let (event, context) = event.into_parts();
    let system = settings.system_of(store).await?;
    let end = SystemTime::UNIX_EPOCH + Duration::from_millis(context.deadline);
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    let deadline = Instant::now() + left;
    let now = Timestamp::now();
    let (response, log) = handle_event(event, store, &system, Some(deadline), now).await;
    println!("{}", log.line(&settings.dimensions, now));
    Ok(response)
}
