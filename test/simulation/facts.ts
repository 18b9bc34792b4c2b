/** What befell the outside. Some ends are the truth only where something of the kind happened. */
export type Fact =
  | 'node-loss'
  | 'collected'
  | 'notes-lost'
  | 'journal-lost'
  | 'history-rewritten'
  | 'result-deleted'
  | 'replayed'
  | 'long-outage'
  | 'stopped'
  | 'wall-jump'
  | 'machine-lost'
  | 'twin';
