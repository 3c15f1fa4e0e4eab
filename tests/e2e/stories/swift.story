# The object store's own client: large objects in segments, sites, copies, versions, signed addresses, expiry.
@ text words and words and words and words and words
@ small a small one
@ back nothing yet
$ swift upload shelf {text} --object-name book -S 10 -H "X-Object-Meta-By: olga" --use-slo
*
*
*
*
*
book
$ swift list shelf --lh
45 * application/octet-stream book
45
$ swift list shelf_segments --delimiter /
book/
$ swift download shelf book -o {back}
book *
$ swift upload shelf {back} --object-name again
again
$ swift post shelf -r '.r:*,.rlistings' -m 'web-index:book' -w 'admin:*'
$ swift stat shelf
*
*Container: shelf
*Objects: 2
# A manifest takes what is in it, as its segments count where they are.
*Bytes: 1125
*Read ACL: .r:?,.rlistings
*Write ACL: admin:?
*Sync To:
*Sync Key:
*Web-Index: book
*
*
*
*
*
*
*
$ swift copy shelf book -d /shelf/copy
created container shelf
shelf/book copied to /shelf/copy
$ swift post shelf copy -m color:red -H "X-Delete-After: 1000"
$ swift list shelf --prefix co
copy
$ swift capabilities
$ swift tempurl GET 600 /v1/AUTH_x/shelf/book secret
/v1/AUTH_x/shelf/book?temp_url_sig=*&temp_url_expires=*
$ swift post older
$ swift post shelf -H "X-Versions-Location: older"
$ swift upload shelf {small} --object-name again
again
$ swift list older
005again/*
$ swift delete shelf again
again
$ swift stat shelf again
*
*
*
*
*Content Length: 45
*
*
*
*
*
*
*
$ swift post shelf -H "X-Remove-Versions-Location: x"
! swift download shelf none -o {back}
*not found*
# More than a few are deleted with one request.
$ swift delete shelf
*
*
*
*
$ swift delete older
$ swift delete shelf_segments
! swift stat shelf
*not found*
