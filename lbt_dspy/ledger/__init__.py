"""Every paid call: made once, within the budget, on disk.

The words of this folder:

* *call*: one request to one model under the key of its sitting (`calls`);
* *key*: names a call by all that its reply depends on: the model, the rendered request, the sampling, its number;
* *journal*: all replies by key, on disk: what it holds is never asked again (`journal`);
* *ledger*: the one door for calls: journal, budget, retries, counts (`ledger`);
* *budget*: the gate before each request: at most so many calls, or dollars (`budget`);
* *charge*: what a request may cost, reserved before it is sent and settled when its reply is there (`payment`);
* *account*: the calls of one row or role, counted once each (`account`);
* *attempt*: one request that was sent for a call; those that fail are repeated within bounds (`payment`, `servers`).
"""
