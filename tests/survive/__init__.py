"""What a workspace and its runs live through. The rows are those of the list of faults the project is held against; where each is tested:

| row | fault | tested in |
|---|---|---|
| 4 | the k-th write fails | `test_store_faults.py` |
| 5 | a full disk | `test_store_faults.py` |
| 8 | the catalogue is held by another process | `test_catalogue.py` |
| 9 | the catalogue is damaged or gone | `test_catalogue.py` |
| 21 | an update while a run is going | `test_catalogue.py` |
| 22 | a workspace of an older or newer version | `test_catalogue.py` |
"""
