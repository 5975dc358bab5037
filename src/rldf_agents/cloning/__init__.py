"""Clone a data set of class folders into a larger synthetic one, on one machine or many.

    source -> example pictures -> state of each class -> plan -> shards -> manifest
            read               search                 sampling   workers

Every picture is a pure function of its number in the plan. A shard is finished when its record is
on disk; what remains to be done is the plan without the finished shards.
"""
