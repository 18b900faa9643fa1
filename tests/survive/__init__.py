"""What a workspace and its runs live through, and where each fault of the list is tried:

| row | fault | tried in |
|---|---|---|
| 1 | a worker killed at random | `test_killer.py`, `../test_jobs_kill.py` |
| 2, 3 | killed between checkpoint and rename; a damaged checkpoint | `test_runs.py` |
| 4 | the k-th write fails, for every k | `test_store_faults.py` |
| 5 | a full disk, a limit on the size of files | `test_store_faults.py` |
| 6 | the server is killed while a run goes on | `test_servers.py` |
| 7 | two servers on one workspace | `test_servers.py` |
| 8 | the catalogue is held by another process | `test_catalogue.py`, `test_on_screen.py` |
| 9 | the catalogue is damaged or gone | `test_catalogue.py` |
| 10 | the clock jumps by an hour | `test_servers.py` |
| 11 | a process number is used again | `test_servers.py` |
| 12, 13, 14 | memory, GPU or loss gives out | `test_runs.py`, `test_killer.py` |
| 15, 16 | cancelled in whatever it does; asked twice | `test_killer.py` |
| 17 | twenty runs at once | `test_servers.py` |
| 18 | a closed, frozen or cut-off tab | `../browser/test_more_journeys.py`, `test_on_screen.py` |
| 19 | a double click, the same ask from two tabs | `test_servers.py`, `test_on_screen.py` |
| 20 | clicks faster than the page | `test_on_screen.py` |
| 21 | an update while a run is going | `test_catalogue.py`, `test_servers.py` |
| 22 | a workspace of an older or newer version | `test_catalogue.py`, with a fixture a release |
| 38 | odd data | `../contract/test_odd_data.py` |
| 39 | patients or copies on two sides, leaks | `../data/test_checks.py`, `test_long_use.py` |
| 40 | the wrong kind of data | `test_long_use.py`, `../contract/test_odd_data.py` |
| 41 | a parameter out of its bounds | `../test_parameters.py`, `test_long_use.py` |
| 42, 43, 44 | seeds and order; traces left; network and disk | `../contract/` |
| 45 | memory over many applies and reruns | `test_long_use.py` |
| 46 | a selection through pages | `test_long_use.py`, `../browser/test_more_journeys.py` |
| 47 | values kept, links to what is gone | `test_on_screen.py`, `../app/test_pages.py` |

A release adds its catalogue as SQL text to `fixtures/` (`sqlite3 catalogue.db .dump` of a
workspace of few rows) before the next migration is written.
"""
