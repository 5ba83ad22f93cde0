//! What only a real broker shows: a consumer that is lost while nothing can be done with its messages.

use broker::rabbit::{Rabbit, survey};
use broker::{Broker, Publication, RequestQueue, Settings};
use domain::Context;
use domain::delivery::Settlement;
use lapin::options::ExchangeDeleteOptions;

use super::{id, native, next, outcome};
use crate::support::proxy::Flow;
use crate::support::rabbit::{self, Bystander, soon, until};
use crate::support::servers::servers;

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_lost_while_subscribing_is_paused_stays_lost_until_it_is_resumed() {
    let url = servers().rabbitmq_url();
    let beside = Bystander::new(rabbit::settings(url)).await;
    let (proxy, through) = rabbit::through_a_proxy(url).await;
    let broker = Rabbit::connect(&Settings { url: through.into(), ..beside.settings.clone() }).await.unwrap();
    let mut consumer = broker.consume(RequestQueue::Live).await.unwrap();
    beside.submit(RequestQueue::Live, native("kept")).await;
    let kept = next(&mut consumer).await;

    broker.pause_subscribing();
    proxy.set(Flow::Cut);
    let queue = beside.topology.request_queue(RequestQueue::Live);
    until("the message is back", || async { beside.ready(&queue).await == 1 }).await;
    proxy.set(Flow::Open);
    // Both connections are there again.
    soon("it can be asked", async { while broker.waiting(RequestQueue::Live).await.is_err() {} }).await;
    let (published, context) = (outcome("proof"), Context::default());
    let publication = Publication { outcome: &published, context: &context };
    soon("it publishes", async { while broker.publish(publication).await.is_err() {} }).await;
    assert_eq!(beside.ready(&queue).await, 1, "and nobody takes it");

    broker.resume_subscribing();
    let again = next(&mut consumer).await;
    assert_eq!((id(&again), again.request.context.redelivered), ("kept", true));
    drop(kept);
    again.ticket.settle(Settlement::Done);
    broker.close().await;
    beside.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proof_that_outcomes_can_be_published_reaches_nobody() {
    let beside = Bystander::new(rabbit::settings(servers().rabbitmq_url())).await;
    let broker = Rabbit::connect(&beside.settings).await.unwrap();
    broker.prove().await.unwrap();
    let results = survey(&beside.settings).await.unwrap();
    assert!(results.depths.iter().all(|depth| depth.ready == 0), "{results:?}");
    let exchange = beside.topology.verdicts();
    beside.channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await.unwrap();
    assert!(broker.prove().await.is_err(), "without the exchange no outcome can be published");
    broker.close().await;
    beside.delete().await;
}
