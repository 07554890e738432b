/**
 * Which workers died since this page looked, each told once. What had happened before is not told.
 */
import type { Cluster, Loss } from './restapi';

export interface LostWorker extends Loss {
  readonly cluster: string;
}

export class Losses {
  private readonly told = new Map<string, number>(); // by the cluster's id, the newest loss that is known

  /** Take the clusters as they are now; return what is to be told. */
  of(clusters: readonly Cluster[]): LostWorker[] {
    return clusters.flatMap(cluster => this.ofOne(cluster));
  }

  private ofOne(cluster: Cluster): LostWorker[] {
    if (!cluster.id) {
      return [];
    }
    const newest = Math.max(0, ...cluster.losses.map(loss => loss.number));
    const known = this.told.get(cluster.id);
    this.told.set(cluster.id, Math.max(newest, known ?? 0));
    return known === undefined
      ? []
      : cluster.losses
          .filter(loss => loss.number > known)
          .map(loss => ({ ...loss, cluster: cluster.name }));
  }
}
