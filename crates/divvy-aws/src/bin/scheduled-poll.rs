//! The Lambda function that a schedule calls: polls a feed.

use std::process::ExitCode;

use divvy_aws::DynamoStore;
use divvy_aws::lambda::failure::{Failure, Payload};
use divvy_aws::lambda::scheduled_poll::poll;
use divvy_aws::lambda::settings::Settings;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::de::IgnoredAny;

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
    let feed = settings.feed.as_deref();
    let feed = feed.ok_or("DIVVY_FEED_URL is not set: it says which feed to poll")?;
    let store = settings.open().await?;
    let handler = async |event: LambdaEvent<Payload<IgnoredAny>>| {
        let now = Timestamp::now();
        let done = handle(event, feed, &store, &settings, now).await;
        // The runtime returns errors to the caller, and a schedule does not log them.
        done.inspect_err(|failure| println!("{}", failure.line(&settings.dimensions, now)))
    };
    run(service_fn(handler)).await
}

async fn handle(
    event: LambdaEvent<Payload<IgnoredAny>>,
    feed: &str,
    store: &DynamoStore,
    settings: &Settings,
    now: Timestamp,
) -> Result<(), Failure> {
    // The event of a schedule has no data.
    let _ = event.payload.read("JSON")?;
    let polled = poll(feed, store, settings.system.as_ref(), now).await?;
    println!("{}", polled.line(&settings.dimensions));
    Ok(())
}
