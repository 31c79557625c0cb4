// What TertuliaOnLoad.mm uses of Foundation.
__attribute__((objc_root_class)) @interface NSObject
+ (void)load;
@end
